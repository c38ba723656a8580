"""Parameters that depend on the rate point, interpolated between neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import RATE_POINTS, STEP_UNITS


def interpolate(table: Tensor, rate: Tensor) -> Tensor:
    """Read table [11, C] at rate [B] (float, 0..10), linearly between rows -> [B, C, 1, 1]."""
    low = rate.floor().clamp(0, RATE_POINTS - 2)
    fraction = (rate - low)[:, None]
    index = low.long()
    return torch.lerp(table[index], table[index + 1], fraction)[:, :, None, None]


def rate_tensor(quality: int) -> Tensor:
    """Rate in 0..10 as the float networks take it, [1]; quality 0..2560."""
    return torch.tensor([quality / STEP_UNITS])


class RateScale(nn.Module):
    """Per-channel factors exp(v[rate]) on features x [B, C, H, W]; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(RATE_POINTS, channels))

    def forward(self, x: Tensor, rate: Tensor) -> Tensor:
        return x * interpolate(self.log_scale, rate).exp()
