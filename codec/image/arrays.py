"""Arrays as the samples that the codec works on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.errors import UnsupportedImage
from codec.image.source import check_size
from codec.limits import Limits

# By the number of channels, from 1.
_LAYOUTS = ("L", "LA", "RGB", "RGBA")


class Channels(NamedTuple):
    """layout: L, LA, RGB or RGBA. colour: uint8 [H, W, 3], maybe the caller's own. alpha: uint8 [H, W]."""

    layout: str
    colour: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None


def to_channels(array: NDArray[np.generic], limits: Limits, notes: list[str]) -> Channels:
    """Take an array [H, W], or [H, W, C] of 1 to 4 channels (gray, gray and alpha, RGB, RGBA), any strides.

    bool becomes 0 and 255; uint16 keeps its high byte, which is told in `notes`. Of gray, the three channels
    may be one in memory. Raises UnsupportedImage for another shape or type, LimitExceeded.
    """
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or not 1 <= array.shape[2] <= len(_LAYOUTS):
        raise _wrong_shape(array)
    check_size(array.shape[1], array.shape[0], limits)
    layout = _LAYOUTS[array.shape[2] - 1]
    samples = np.ascontiguousarray(_to_bytes(array, notes))
    alpha = np.ascontiguousarray(samples[..., -1]) if layout.endswith("A") else None
    colour = samples[..., :3] if layout.startswith("RGB") else samples[..., :1]
    return Channels(layout, np.broadcast_to(colour, (*samples.shape[:2], 3)), alpha)


def _to_bytes(array: NDArray[np.generic], notes: list[str]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.asarray(array, np.uint8)
    if array.dtype == np.bool_:
        return np.where(array, np.uint8(255), np.uint8(0))
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        notes.append("16-bit samples are reduced to 8 bits")
        return (array.astype(np.uint16, copy=False) >> 8).astype(np.uint8)
    if array.dtype.kind == "f":
        advice = "scale to 0..255, round, and cast: (a * 255).round().astype('uint8') for samples in 0..1"
    else:
        advice = "scale to 0..255 and cast to uint8"
    raise UnsupportedImage(f"array has dtype {array.dtype}, not uint8; {advice}", field="dtype")


def _wrong_shape(array: NDArray[np.generic]) -> UnsupportedImage:
    if array.ndim == 3 and 1 <= array.shape[0] <= len(_LAYOUTS):
        advice = "move the channels last: a.transpose(1, 2, 0)"
    elif array.ndim == 4:
        advice = "pass one picture at a time, or all to Encoder.map"
    else:
        advice = "pass one of these"
    return UnsupportedImage(
        f"array has shape {list(array.shape)}, not [H, W] or [H, W, 1 to 4]; {advice}", field="shape"
    )
