"""The training objective: negative ELBO in bits per pixel, one `lmbda` per sample."""

from __future__ import annotations

import torch
from torch import Tensor

from codec.model.config import MAX_RATE, RATE_POINTS, STEP_UNITS, ModelConfig

from .model import Output

PEAK_SQUARED = 255.0**2


def draw_rates(count: int, generator: torch.Generator) -> Tensor:
    """Draw one rate in 0..7 per sample, [count], a multiple of 8: sample i uniform within band i mod 8."""
    band = torch.arange(count) % RATE_POINTS
    low = (band - 0.5).clamp(min=0)
    high = (band + 0.5).clamp(max=MAX_RATE / STEP_UNITS)
    return low + (high - low) * torch.rand(count, generator=generator)


def lmbda_of(config: ModelConfig, rate: Tensor) -> Tensor:
    """`lmbda` of each rate [B], the continuous version of `ModelConfig.lmbda`."""
    span = torch.tensor(config.lmbda_max / config.lmbda_min).log()
    return config.lmbda_min * (span * rate / (RATE_POINTS - 1)).exp()


def rate_distortion(output: Output, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return bits per pixel [B] and mean squared error over [0, 1] samples [B]."""
    bpp = (output.bits_y + output.bits_z) / (x.shape[2] * x.shape[3])
    return bpp, (output.x_hat - x).square().mean((1, 2, 3))


def loss_of(bpp: Tensor, mse: Tensor, lmbda: Tensor) -> Tensor:
    """Mean of (bpp + lmbda * 255^2 * MSE) / sqrt(lmbda): the root keeps low rates from being drowned."""
    return ((bpp + lmbda * PEAK_SQUARED * mse) * lmbda.rsqrt()).mean()
