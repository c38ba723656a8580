"""Parameters that depend on the rate point, interpolated between neighbours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codec.bitstream.quality import RATE_POINTS, STEP_UNITS


def interpolate(table: Tensor, rate_point: Tensor) -> Tensor:
    """Read table [11, C] at a rate point [B] (float in 0..10), linearly between rows -> [B, C, 1, 1]."""
    low = rate_point.floor().clamp(0, RATE_POINTS - 2)
    fraction = (rate_point - low)[:, None]
    index = low.long()
    return torch.lerp(table[index], table[index + 1], fraction)[:, :, None, None]


def rate_point_tensor(rate_index: int) -> Tensor:
    """Rate point in 0..10, with its fraction, as the float networks take it, [1]; rate_index: 0..2560."""
    return torch.tensor([rate_index / STEP_UNITS])


class RateScale(nn.Module):
    """Per-channel factors exp(v[rate_point]) on features x [B, C, H, W]; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(RATE_POINTS, channels))

    def forward(self, x: Tensor, rate_point: Tensor) -> Tensor:
        return x * interpolate(self.log_scale, rate_point).exp()
