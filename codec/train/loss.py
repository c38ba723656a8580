"""The training objective: negative ELBO in bits per pixel, one `lmbda` per sample."""

from __future__ import annotations

import torch
from torch import Tensor

from codec.bitstream.quality import MAX_RATE_INDEX, RATE_POINTS, STEP_UNITS
from codec.image.luma import BT601
from codec.model.config import ModelConfig

from .model import Output
from .perceptual import perceptual_error
from .structure import ms_ssim

PEAK_SQUARED = 255.0**2
# Squared error of 8-bit samples that counts as much as a whole unit of 1 - MS-SSIM: about what natural
# pictures have at the same quality, so that a share moves weight between the two and leaves lmbda's meaning.
STRUCTURE_UNIT = 1400.0
# The same for a unit of the perceptual error.
PERCEPTUAL_UNIT = 1400.0


def draw_rate_points(count: int, generator: torch.Generator) -> Tensor:
    """Draw one rate point in 0..10 per sample, [count], a multiple of 11: sample i uniform near i mod 11."""
    point = torch.arange(count) % RATE_POINTS
    low = (point - 0.5).clamp(min=0)
    high = (point + 0.5).clamp(max=MAX_RATE_INDEX / STEP_UNITS)
    return low + (high - low) * torch.rand(count, generator=generator)


def lmbda_of(config: ModelConfig, rate_point: Tensor) -> Tensor:
    """`lmbda` of each rate point [B], the continuous version of `ModelConfig.lmbda`."""
    span = torch.tensor(config.lmbda_max / config.lmbda_min).log()
    return config.lmbda_min * (span * rate_point / (RATE_POINTS - 1)).exp()


def bpp_of(output: Output, x: Tensor) -> Tensor:
    """Bits per pixel [B] of crops x [B, 3, H, W]."""
    return (output.bits_y + output.bits_z) / (x.shape[2] * x.shape[3])


def luma(x: Tensor) -> Tensor:
    """Luma [B, H, W] of RGB [B, 3, H, W]."""
    return torch.einsum("bchw,c->bhw", x, torch.tensor(BT601, device=x.device, dtype=x.dtype))


def distortion_of(
    x_hat: Tensor, x: Tensor, luma_share: float, structure_share: float, perceptual_share: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return what the loss weighs, in squared error of 8-bit samples, and plain MSE over [0, 1] samples, [B].

    The first is MSE over red, green and blue, but for three shares: squared error of luma; 1 - MS-SSIM of
    luma (Wang, Simoncelli and Bovik 2003) in units of `STRUCTURE_UNIT`; and the perceptual error over scales
    in units of `PERCEPTUAL_UNIT`.
    """
    mse = (x_hat - x).square().mean((1, 2, 3))
    plain = 1 - luma_share - structure_share - perceptual_share
    distortion = plain * PEAK_SQUARED * mse
    if luma_share or structure_share:
        y, y_hat = luma(x), luma(x_hat)
    if luma_share:
        distortion = distortion + luma_share * PEAK_SQUARED * (y_hat - y).square().mean((1, 2))
    if structure_share:
        unlike = 1 - ms_ssim(y_hat, y)
        distortion = distortion + structure_share * STRUCTURE_UNIT * unlike
    if perceptual_share:
        distortion = distortion + perceptual_share * PERCEPTUAL_UNIT * perceptual_error(x_hat, x)
    return distortion, mse


def loss_of(bpp: Tensor, distortion: Tensor, lmbda: Tensor) -> Tensor:
    """Mean of (bpp + lmbda * distortion) / sqrt(lmbda): the root keeps low rates from being drowned."""
    return ((bpp + lmbda * distortion) * lmbda.rsqrt()).mean()
