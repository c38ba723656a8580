"""How far a decoded picture is from the original. All of these are higher for better pictures."""

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
    """PSNR in dB over all samples of the three channels, at most 100."""
    return psnr(x, x_hat)


def psnr_y(x: RgbArray, x_hat: RgbArray) -> float:
    """PSNR in dB of luma, not rounded to integers, at most 100."""
    return psnr_of(float(np.square((x.astype(np.float64) - x_hat) @ _LUMA).mean()))


def ms_ssim(x: RgbArray, x_hat: RgbArray) -> float | None:
    """MS-SSIM over R, G and B, 0..1; None where a side is under 161 pixels, too small for its five scales."""
    if min(x.shape[:2]) <= 160:
        return None
    import torch
    from pytorch_msssim import ms_ssim as measure

    with torch.inference_mode():
        return float(measure(_tensor(x), _tensor(x_hat), data_range=255))


def ssimulacra2(x: RgbArray, x_hat: RgbArray) -> float | None:
    """SSIMULACRA2, at most 100; None where a side is under 225 pixels.

    Smaller pictures have fewer than the six scales that its weights were fitted to.
    """
    if min(x.shape[:2]) < 225:
        return None
    from ssimulacra2 import compute_ssimulacra2

    return float(compute_ssimulacra2(_stream(x), _stream(x_hat)))


def _tensor(pixels: RgbArray) -> torch.Tensor:
    import torch

    return torch.tensor(pixels).permute(2, 0, 1)[None].float()


def _stream(pixels: RgbArray) -> io.BytesIO:
    """Return a picture as the package wants it: an uncompressed file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PPM")
    stream.seek(0)
    return stream


# Decimals to keep: finer than any difference that matters, coarser than the rounding of float32.
METRICS: dict[str, tuple[Callable[[RgbArray, RgbArray], float | None], int]] = {
    "psnr_rgb": (psnr_rgb, 4),
    "psnr_y": (psnr_y, 4),
    "ms_ssim": (ms_ssim, 6),
    "ssimulacra2": (ssimulacra2, 3),
}
DEFAULT_METRICS = ("psnr_rgb", "psnr_y", "ms_ssim")


def measure(x: RgbArray, x_hat: RgbArray, names: tuple[str, ...]) -> dict[str, float | None]:
    """Return the named metrics of a decoded picture, rounded as they are stored."""
    found = {}
    for name in names:
        function, decimals = METRICS[name]
        value = function(x, x_hat)
        found[name] = None if value is None else round(value, decimals)
    return found
