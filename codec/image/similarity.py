"""PSNR and SSIM between a decoded picture and its original."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.image.picture import BT601, Samples

MAX_DB = 100.0

_LUMA = np.array(BT601, np.float32)
# SSIM with a Gaussian window of 11 samples, sigma 1.5; K1 = 0.01, K2 = 0.03 (Wang et al. 2004).
_BELL = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_WINDOW: NDArray[np.float32] = (_BELL / _BELL.sum()).astype(np.float32)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Pictures are compared in strips of this many rows.
_ROWS = 256


def psnr(x: Samples, x_hat: Samples) -> float:
    """Return the PSNR in dB over all samples of two pictures, uint8 [H, W, 3]; at most 100."""
    error, count = 0.0, 0
    for first, second in _strips(x, x_hat, 0):
        error += float(np.square(first.astype(np.float32) - second).sum(dtype=np.float64))
        count += first.size
    return psnr_of(error / count)


def psnr_of(error: float) -> float:
    """Return the PSNR in dB, at most 100, of a mean squared error in squared levels (1 of 255)."""
    return MAX_DB if error == 0 else min(MAX_DB, 10 * math.log10(255**2 / error))


def ssim(x: Samples, x_hat: Samples) -> float:
    """Return the mean SSIM of luma (BT.601), in -1..1, of two pictures, uint8 [H, W, 3].

    Only whole windows count. Sides below 11 pixels are padded by repeating the last samples. Source: Wang et
    al. 2004.
    """
    total, count = 0.0, 0
    for first, second in _strips(x, x_hat, len(_WINDOW) - 1):
        part = _ssim_map(*((p.astype(np.float32) @ _LUMA) for p in (first, second)))
        total += float(part.sum(dtype=np.float64))
        count += part.size
    return total / count


def decibel(similarity: float) -> float:
    """Convert SSIM to dB, almost linear in the rate: -10 log10(1 - SSIM), at most 100."""
    return min(MAX_DB, -10 * math.log10(max(1 - similarity, 1e-10)))


MEASURES: dict[str, Callable[[Samples, Samples], float]] = {
    "psnr": psnr,
    "ssim": lambda x, x_hat: decibel(ssim(x, x_hat)),
}


def _strips(
    x: Samples, x_hat: Samples, overlap: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield corresponding strips, which overlap by `overlap` rows; limits the memory for float samples."""
    height, width = x.shape[:2]
    least = overlap + 1
    pad = ((0, max(0, least - height)), (0, max(0, least - width)), (0, 0))
    for top in range(0, max(1, height - overlap), _ROWS):
        rows = (slice(top, min(height, top + _ROWS + overlap)), slice(0, width))
        first, second = (np.pad(part[rows], pad, mode="edge") for part in (x, x_hat))
        yield first, second


def _ssim_map(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    above = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    below = (mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)
    return np.asarray(above / below)


def _blur(plane: NDArray[Any]) -> NDArray[Any]:
    """Convolve a plane [h, w] with the window; the result is [h - 10, w - 10]."""
    rows = np.lib.stride_tricks.sliding_window_view(plane, len(_WINDOW), 0) @ _WINDOW
    return np.asarray(np.lib.stride_tricks.sliding_window_view(rows, len(_WINDOW), 1) @ _WINDOW)
