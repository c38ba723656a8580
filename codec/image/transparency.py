"""Transparency: colour keys of PNG files, and colours hidden under alpha 0.

Pillow applies colour keys to converted samples, which is wrong at other depths than 8 bits: it compares the
high byte of 16-bit samples, and the stored key with samples that were scaled to 0..255.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Hidden colours are filled in windows of this side, in pixels, to bound memory.
WINDOW = 2048

# Bits per sample by Pillow's raw mode.
_BITS = {"1": 1, "L;2": 2, "L;4": 4, "L": 8, "RGB": 8, "RGB;16B": 16}
# Raw mode that reads the big-endian samples as little-endian and so returns their low byte.
_LOW_BYTES = "RGB;16L"


class ColourKey(NamedTuple):
    """The transparent colour of a PNG file.

    values: one sample for gray or three for RGB. bits: their depth. low: the low bytes of 16-bit samples, a
    PIL image of mode RGB, or None at other depths.
    """

    values: tuple[int, ...]
    bits: int
    low: Image.Image | None

    def alpha(self, colour: Image.Image) -> Image.Image:
        """Return alpha, mode L: 0 where `colour`, the loaded picture as L or RGB, is the key, else 255."""
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
    """Return the transparent colour of a PNG picture not yet loaded, or None if it has none.

    Return None also for palettes and 16-bit gray, whose stored samples remain available after loading.
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
    """Return whether an 8-bit picture, loaded by the caller, has a 16-bit transparent colour."""
    key = picture.info.get("transparency")
    return picture.mode == "RGB" and isinstance(key, tuple) and max(key) > 255


def fill_hidden(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> None:
    """Replace colour, uint8 [H, W, 3], in place where alpha, uint8 [H, W], is 0.

    Hidden pixels continue the colours of the nearest visible ones, smoother with distance, which takes few
    bits.
    """
    height, width = alpha.shape
    for top in range(0, height, WINDOW):
        for left in range(0, width, WINDOW):
            window = np.s_[top : top + WINDOW, left : left + WINDOW]
            visible = alpha[window] > 0
            if not visible.all():
                part = colour[window]
                filled = _fill(part.astype(np.float32) * visible[..., None], visible.astype(np.float32))
                part[~visible] = filled[~visible].round().astype(np.uint8)


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


def _fill(total: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return colours [h, w, 3] from sums of visible samples [h, w, 3] and their weights [h, w].

    Pull-push interpolation: where the weight is 0, the colour is that of the plane at half the size.
    """
    height, width = weight.shape
    known = weight > 0
    mean = (total / np.maximum(weight, 1e-6)[..., None]).astype(np.float32, copy=False)
    if known.all():
        return mean
    if max(height, width) == 1:
        return np.full_like(mean, 128)  # no pixel is visible
    even = ((0, height % 2), (0, width % 2))
    # Weights are binarised at each scale, so that thin lines do not fade with distance.
    coarse_weight = _halve(np.pad(known.astype(np.float32), even))
    coarse_total = _halve(np.pad(mean * known[..., None], (*even, (0, 0))))
    coarse = _fill(coarse_total, coarse_weight)
    return np.where(known[..., None], mean, _double(coarse)[:height, :width])


def _halve(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]


def _double(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Upsample a plane [h, w, 3] to [2h, 2w, 3] by linear interpolation."""
    for axis in (0, 1):
        before = np.concatenate([plane.take([0], axis), plane], axis)
        before = before.take(np.arange(plane.shape[axis]), axis)
        after = np.concatenate([plane, plane.take([-1], axis)], axis)
        after = after.take(np.arange(1, plane.shape[axis] + 1), axis)
        shape = list(plane.shape)
        shape[axis] *= 2
        near = np.float32(0.75) * plane
        far = np.float32(0.25)
        plane = np.stack([near + far * before, near + far * after], axis + 1).reshape(shape)
    return plane
