"""What each effort 0..9 does. Imports neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from codec.errors import UsageError

# Measured on Kodak: decisions save 0.2 % by PSNR, lose more by SSIMULACRA2, and take three times as long.
DEFAULT_EFFORT, MAX_EFFORT = 0, 9


class Level(NamedTuple):
    """What an encoder may spend on a tile.

    decides: by real bits and by the error in pixels, with what lies around a tile; else by rounding.
    iterations: of gradient descent on y and z, which takes torch.
    """

    decides: bool
    iterations: int = 0


# Measured: an iteration takes a third of a second of one core for a megapixel.
LEVELS = (
    Level(False),
    Level(True),
    Level(True, 6),
    Level(True, 10),
    Level(True, 20),
    Level(True, 40),
    Level(True, 64),
    Level(True, 100),
    Level(True, 160),
    Level(True, 256),
)
# What a picture may take at levels with iterations, unless another budget is set.
DEFAULT_SECONDS = 60.0


class Budget(NamedTuple):
    """seconds: for the iterations of one tile; None for no limit. tick: called with the share done."""

    seconds: float | None
    tick: Callable[[float], None]


def level_of(effort: int) -> Level:
    """Return what an effort stands for. Raises UsageError unless it is a whole number from 0 to 9."""
    if isinstance(effort, bool) or not isinstance(effort, int) or not 0 <= effort <= MAX_EFFORT:
        raise UsageError(
            f"effort must be a whole number from 0 to {MAX_EFFORT}, not {effort!r}", field="effort"
        )
    return LEVELS[effort]
