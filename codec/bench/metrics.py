"""Metrics of a decoded picture against the original; higher is better for all of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from codec.image.load import RgbArray
from codec.image.picture import BT601
from codec.image.similarity import psnr, psnr_of

if TYPE_CHECKING:
    import torch

_LUMA = np.array(BT601)


def psnr_rgb(x: RgbArray, x_hat: RgbArray) -> float:
    """Return PSNR in dB over all samples of the three channels, at most 100."""
    return psnr(x, x_hat)


def psnr_y(x: RgbArray, x_hat: RgbArray) -> float:
    """Return PSNR in dB of BT.601 luma, not rounded to integers, at most 100."""
    return psnr_of(float(np.square((x.astype(np.float64) - x_hat) @ _LUMA).mean()))


def ms_ssim(x: RgbArray, x_hat: RgbArray) -> float | None:
    """Return MS-SSIM over R, G and B, 0..1; None if a side is under 161 pixels, too small for five scales."""
    if min(x.shape[:2]) <= 160:
        return None
    import torch
    from pytorch_msssim import ms_ssim as measure

    with torch.inference_mode():
        return float(measure(_tensor(x), _tensor(x_hat), data_range=255))


def ssimulacra2(x: RgbArray, x_hat: RgbArray) -> float | None:
    """Return SSIMULACRA2, at most 100; None if a side is under 225 pixels.

    Smaller pictures have fewer than the six scales that its weights are for.
    """
    if min(x.shape[:2]) < 225:
        return None
    from ssimulacra2 import compute_ssimulacra2

    return float(compute_ssimulacra2(_stream(x), _stream(x_hat)))


def _tensor(pixels: RgbArray) -> torch.Tensor:
    import torch

    return torch.tensor(pixels).permute(2, 0, 1)[None].float()


def _stream(pixels: RgbArray) -> io.BytesIO:
    """Return a picture as an uncompressed file, the input of package ssimulacra2."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PPM")
    stream.seek(0)
    return stream


# Function and stored decimals of each metric: finer than differences that matter, coarser than float32
# rounding.
METRICS: dict[str, tuple[Callable[[RgbArray, RgbArray], float | None], int]] = {
    "psnr_rgb": (psnr_rgb, 4),
    "psnr_y": (psnr_y, 4),
    "ms_ssim": (ms_ssim, 6),
    "ssimulacra2": (ssimulacra2, 3),
}
DEFAULT_METRICS = ("psnr_rgb", "psnr_y", "ms_ssim")


def measure(x: RgbArray, x_hat: RgbArray, names: tuple[str, ...]) -> dict[str, float | None]:
    """Return the named metrics of a decoded picture, rounded for storage."""
    values = {}
    for name in names:
        function, decimals = METRICS[name]
        value = function(x, x_hat)
        values[name] = None if value is None else round(value, decimals)
    return values
