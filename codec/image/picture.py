"""A picture as the codec takes it: colour, alpha and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.metadata import Metadata


class Samples(Protocol):
    """Colour samples of which rectangles are read: an array uint8 [H, W, 3], or what acts like one."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """(H, W, 3)."""

    def __getitem__(self, rectangle: tuple[slice, slice], /) -> NDArray[np.uint8]:
        """Return samples[top:bottom, left:right], uint8 [h, w, 3]."""


class PillowSamples:
    """Samples of a loaded PIL image of mode RGB or L, cut out when asked for: none is copied whole.

    Gray is given as three equal channels.
    """

    def __init__(self, picture: Image.Image) -> None:
        self._picture = picture

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        return self._picture.height, self._picture.width, 3

    def __getitem__(self, rectangle: tuple[slice, slice]) -> NDArray[np.uint8]:
        rows, columns = (
            slice(*part.indices(size)) for part, size in zip(rectangle, self.shape[:2], strict=True)
        )
        part = np.array(self._picture.crop((columns.start, rows.start, columns.stop, rows.stop)))
        return np.repeat(part[:, :, None], 3, axis=2) if part.ndim == 2 else part


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture ready to be coded, upright.

    layout: 'RGB', 'L', 'LA' or 'RGBA'. colour: samples [H, W, 3], three equal channels where the layout is
    gray; smooth wherever alpha is 0. alpha: uint8 [H, W] for the layouts that have it.
    """

    layout: str
    colour: Samples
    alpha: NDArray[np.uint8] | None
    metadata: Metadata

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.colour.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.colour.shape[0])
