"""How the tiles of a picture are coded, at any rate index. Imports neither torch nor numpy."""

from __future__ import annotations

from typing import NamedTuple

from codec.effort.levels import Level


class TileSettings(NamedTuple):
    """level: of effort. visual: by perceptual error. gray: the picture is."""

    level: Level
    visual: bool
    gray: bool
