"""Colours that nobody sees, under alpha 0: made smooth, so that they cost nothing and taint no edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Filled in windows of this side, so that memory stays bounded.
WINDOW = 2048


def fill_hidden(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> None:
    """Replace colour, uint8 [H, W, 3], in place wherever alpha, uint8 [H, W], is 0.

    Hidden pixels take the colours of the nearest visible ones, ever smoother with distance.
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


def _fill(total: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return colours for a whole plane from sums of visible samples [h, w, 3] and their weights [h, w].

    Push and pull: where there is no weight, the answer comes from the plane of half the size.
    """
    height, width = weight.shape
    known = weight > 0
    mean = (total / np.maximum(weight, 1e-6)[..., None]).astype(np.float32, copy=False)
    if known.all():
        return mean
    if max(height, width) == 1:
        return np.full_like(mean, 128)  # nothing is visible at all
    even = ((0, height % 2), (0, width % 2))
    # Only whether there is something below counts, not how much: thin lines must not fade with distance.
    coarse_weight = _halve(np.pad(known.astype(np.float32), even))
    coarse_total = _halve(np.pad(mean * known[..., None], (*even, (0, 0))))
    coarse = _fill(coarse_total, coarse_weight)
    return np.where(known[..., None], mean, _double(coarse)[:height, :width])


def _halve(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]


def _double(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a plane [h, w, 3] at twice the size, interpolated linearly."""
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
