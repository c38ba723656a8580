"""True rate and distortion of a training model on whole pictures, without a file."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from codec.bitstream.quality import RATE_POINTS
from codec.model.config import SCALE_LOG_STEP, SCALE_MIN

from .model import TrainModel


@dataclasses.dataclass
class RatePoint:
    """Mean over pictures at one rate point: bits per pixel in all and of z alone, PSNR in dB."""

    rate: float
    bpp: float
    bpp_z: float
    psnr: float


def _gaussian_bits(r: Tensor, scale_index: Tensor) -> Tensor:
    sigma = SCALE_MIN * (scale_index * SCALE_LOG_STEP).exp()
    upper = torch.special.ndtr((0.5 - r.abs()) / sigma)
    lower = torch.special.ndtr((-0.5 - r.abs()) / sigma)
    bits = -(upper - lower).clamp(min=2.0**-24).log2()
    return torch.where(scale_index > 0, bits, torch.zeros_like(bits))


@torch.no_grad()
def picture_point(model: TrainModel, x: Tensor, rate_point: float) -> tuple[float, float, float]:
    """Bits of y, bits of z and mean squared error of one picture x: float [1, 3, H, W]."""
    q = torch.tensor([rate_point])
    net = model.network
    y = net.scale_latent(net.g_a(x), q)
    symbols, _ = model.quantise(y, net.h_a(y), q)
    bits_y = float(_gaussian_bits(symbols.r, symbols.scale_index).sum())
    nearest = min(RATE_POINTS - 1, int(rate_point + 0.5))
    all_points = symbols.z.repeat(1, RATE_POINTS, 1, 1)
    channels = model.config.h
    # The density object evaluates all rate points at once; only the one in use counts.
    likelihood, _, _ = model.density._likelihood(all_points.transpose(0, 1).flatten(1)[:, None])
    likelihood = likelihood.reshape(RATE_POINTS, channels, -1)[nearest].clamp(min=2.0**-24)
    x_hat = net.g_s(net.unscale_latent(symbols.y_hat, q), q).clamp(0, 1).mul(255).round().div(255)
    return bits_y, float(-likelihood.log2().sum()), float((x_hat - x).square().mean())


def evaluate(model: TrainModel, pictures: Tensor, rate_points: list[float]) -> list[RatePoint]:
    """Rate-distortion points over pictures, uint8 [N, 3, H, W], at each rate point in 0..10."""
    points = []
    for rate_point in rate_points:
        rows = []
        for picture in pictures:
            x = (picture[None].float() / 255).contiguous(memory_format=torch.channels_last)
            bits_y, bits_z, mse = picture_point(model, x, rate_point)
            pixels = x.shape[2] * x.shape[3]
            rows.append(
                [(bits_y + bits_z) / pixels, bits_z / pixels, -10 * torch.tensor(max(mse, 1e-10)).log10()]
            )
        mean = torch.tensor(rows).mean(0).tolist()
        points.append(RatePoint(rate_point, *mean))
    return points
