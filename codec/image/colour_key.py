"""The one colour that a PNG file calls transparent, compared at the file's own depth.

Pillow compares what it made of the samples: at 8 bits where the file has 16, and with the number as it is
stored where samples of fewer bits were spread over 0..255.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

_BITS = {"1": 1, "L;2": 2, "L;4": 4, "L": 8, "RGB": 8, "RGB;16B": 16}
# Read as if it were little-endian, a sample of 16 bits gives its low byte.
_LOW_BYTES = "RGB;16L"


class ColourKey(NamedTuple):
    """values: of one sample for gray or three for RGB, each of `bits` bits.

    low: the low bytes of 16-bit samples, a picture of mode RGB.
    """

    values: tuple[int, ...]
    bits: int
    low: Image.Image | None

    def alpha(self, colour: Image.Image) -> Image.Image:
        """Return alpha, mode L: 0 where `colour`, the loaded picture in mode L or RGB, has this colour."""
        top = (1 << self.bits) - 1
        values = np.array([value & top for value in self.values])
        samples = np.asarray(colour).reshape(colour.height, colour.width, -1)
        if self.low is not None:
            high, low = values >> 8, values & 255
            is_key = (samples == high).all(2) & (np.asarray(self.low) == low).all(2)
        else:
            is_key = (samples == values * 255 // top).all(2)
        return Image.fromarray(np.where(is_key, 0, 255).astype(np.uint8))


def colour_key(picture: Image.Image) -> ColourKey | None:
    """Return the transparent colour of a PNG picture not yet loaded; None where there is none.

    Nor of palettes and 16-bit gray, whose samples are at hand as they are stored.
    """
    key = picture.info.get("transparency")
    tiles = getattr(picture, "tile", None)
    if picture.format != "PNG" or not tiles or not isinstance(key, int | tuple):
        return None
    bits = _BITS.get(tiles[0][3], 0)
    if not bits or (bits == 16 and picture.tell() != 0):
        return None
    return ColourKey(
        (key,) if isinstance(key, int) else key, bits, _low_bytes(picture) if bits == 16 else None
    )


def is_beyond_pillow(picture: Image.Image) -> bool:
    """Tell whether a picture of 8 bits, loaded by somebody else, names a transparent colour of 16."""
    key = picture.info.get("transparency")
    return picture.mode == "RGB" and isinstance(key, tuple) and max(key) > 255


def _low_bytes(picture: Image.Image) -> Image.Image:
    fp = picture.fp  # type: ignore[attr-defined]
    before = fp.tell()
    try:
        again = Image.open(fp, formats=["PNG"])
        again.tile = [tile._replace(args=_LOW_BYTES) for tile in again.tile]
        again.load()
        return again
    finally:
        fp.seek(before)
