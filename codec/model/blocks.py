"""Convolution blocks shared by the transforms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import SLOPE


def act(x: Tensor) -> Tensor:
    """Leaky ReLU, the only non-linearity of the float networks."""
    return F.leaky_relu(x, SLOPE)


class Bottleneck(nn.Module):
    """Residual block: 1x1 to half the channels, 3x3, 1x1 back. x: [B, C, H, W] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = nn.Conv2d(channels, half, 1)
        self.mix = nn.Conv2d(half, half, 3, padding=1)
        self.expand = nn.Conv2d(half, channels, 1)
        with torch.no_grad():
            self.expand.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        grown: Tensor = self.expand(act(self.mix(act(self.reduce(x)))))
        return x + grown


class Separable(nn.Module):
    """Depthwise 3x3 then 1x1, each followed by the activation. x: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return act(self.pointwise(act(self.depthwise(x))))


def trunk(channels: int, blocks: int) -> nn.Sequential:
    """Stack residual blocks at one resolution."""
    return nn.Sequential(*(Bottleneck(channels) for _ in range(blocks)))
