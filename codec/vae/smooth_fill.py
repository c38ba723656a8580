"""A first guess at missing pixels: averages of the known ones around, from a pyramid of halved pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]


def smooth_fill(x: Floats, missing: NDArray[np.bool_]) -> Floats:
    """Fill x, float64 [H, W, C], wherever missing, bool [H, W], is set; at least one pixel must be known."""
    weight = (~missing).astype(np.float64)[..., None]
    return _pull_push(x * weight, weight)


def _pull_push(total: Floats, weight: Floats) -> Floats:
    height, width = weight.shape[:2]
    known = total / np.maximum(weight, 1e-12)
    if (weight > 0).all() or (height == 1 and width == 1):
        return known
    coarse = _pull_push(_halved(total), _halved(weight))
    return np.where(weight > 0, known, _doubled(coarse)[:height, :width])


def _halved(a: Floats) -> Floats:
    even = np.pad(a, ((0, a.shape[0] % 2), (0, a.shape[1] % 2), (0, 0)))
    summed: Floats = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return summed


def _doubled(a: Floats) -> Floats:
    size = 2 * a.shape[1], 2 * a.shape[0]
    planes = [Image.fromarray(a[..., c].astype(np.float32)) for c in range(a.shape[2])]
    grown = [np.asarray(plane.resize(size, Image.Resampling.BILINEAR), np.float64) for plane in planes]
    return np.stack(grown, axis=-1)
