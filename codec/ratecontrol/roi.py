"""Regions of interest as they are written: X,Y,W,H[:+Q], or a mask. Imports neither torch nor numpy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from codec.errors import UsageError

DEFAULT_BOOST = 30.0
MAX_BOOST = 100.0
TUNES = ("psnr", "visual")
# Regions are kept to by whole tiles, so these are smaller than usual.
TILE_LOG2 = 7

_RECTANGLE = re.compile(r"(-?\d+),(-?\d+),(-?\d+),(-?\d+)")


@dataclass(frozen=True)
class Region:
    """Part of a picture that gets more quality, or less.

    box: x, y, width, height in pixels, or None for a mask. mask: name of a picture of the same size whose
    samples say how much of the boost each pixel gets, white all of it; empty for a box. boost: added to the
    user's quality, -100..100.
    """

    box: tuple[int, int, int, int] | None
    mask: str
    boost: float

    def __str__(self) -> str:
        """Return the text that parse_region reads as this region."""
        name = self.mask if self.box is None else ",".join(map(str, self.box))
        return f"{name}:{self.boost:+}".removesuffix(".0")


def parse_regions(texts: str | tuple[str, ...] | list[str] | None) -> tuple[Region, ...]:
    """Read one or more regions. Raises UsageError."""
    if texts is None:
        return ()
    return tuple(parse_region(text) for text in ([texts] if isinstance(texts, str) else texts))


def parse_region(text: str) -> Region:
    """Read X,Y,W,H or the name of a mask picture, with :+Q or :-Q behind it. Raises UsageError."""
    if not isinstance(text, str):
        raise UsageError(f"a region is a text such as '10,20,300,200:+15', not {text!r}", field="roi")
    match = re.fullmatch(r"(.+?)(?::([+-]\d+(?:\.\d+)?))?", text)
    if match is None:
        raise UsageError("an empty region; write X,Y,W,H or name a mask picture", field="roi")
    boost = DEFAULT_BOOST if match[2] is None else float(match[2])
    if abs(boost) > MAX_BOOST:
        raise UsageError(f"a region's boost must be from -100 to +100, not {boost:g}", field="roi")
    rectangle = _RECTANGLE.fullmatch(match[1])
    if rectangle is None:
        return Region(None, match[1], boost)
    x, y, width, height = (int(part) for part in rectangle.groups())
    if min(x, y) < 0 or min(width, height) < 1:
        raise UsageError(f"{text!r} is no rectangle inside a picture", field="roi")
    return Region((x, y, width, height), "", boost)
