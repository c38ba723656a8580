"""Hyper analysis h_a and the mean side of the hyper synthesis: h_s_mean with its four-step context.

The scales come from the integer network alone (`scale_network`): nothing here may feed them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.entropy.steps import STEPS

from .blocks import Separable, act
from .config import ModelConfig
from .rates import RateScale


class HyperAnalysis(nn.Module):
    """h_a. y: scaled latent, float [B, M, h, w] -> z before rounding, float [B, H, ., .] at 1/z_stride."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        n = config.hyper
        self.enter = nn.Conv2d(config.m, n, 1)
        self.down = nn.ModuleList(
            nn.Conv2d(4 * n, n, 1) for _ in range((config.z_stride // 16).bit_length() - 1)
        )
        self.mix = nn.Conv2d(n, n, 3, padding=1)
        self.leave = nn.Conv2d(n, config.h, 1)

    def forward(self, y: Tensor) -> Tensor:
        h = act(self.enter(y.sign() * torch.log1p(y.abs())))
        for conv in self.down:
            h = act(conv(F.pixel_unshuffle(h, 2)))
        z: Tensor = self.leave(act(self.mix(h)))
        return z


class HyperMean(nn.Module):
    """h_s_mean. z_hat: integers as float [B, H, ., .], rate_point: [B] -> features [B, hyper, H/16, W/16]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        n = config.hyper
        self.enter = nn.Conv2d(config.h, n, 3, padding=1)
        self.up = nn.ModuleList(
            nn.Conv2d(n, 4 * n, 1) for _ in range((config.z_stride // 16).bit_length() - 1)
        )
        self.mix = Separable(n)
        self.rate = RateScale(n)

    def forward(self, z_hat: Tensor, rate_point: Tensor) -> Tensor:
        h = act(self.enter(z_hat))
        for conv in self.up:
            h = act(F.pixel_shuffle(conv(h), 2))
        features: Tensor = self.rate(h + self.mix(h), rate_point)
        return features


class MeanContext(nn.Module):
    """Means of step k from the hyper features and the elements decoded in steps before k."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        n = config.hyper
        self.from_hyper = nn.ModuleList(nn.Conv2d(n, n, 1) for _ in range(STEPS))
        self.from_latent = nn.ModuleList(nn.Conv2d(config.m, n, 1, bias=False) for _ in range(STEPS - 1))
        self.mix = nn.ModuleList(Separable(n) for _ in range(STEPS - 1))
        self.leave = nn.ModuleList(nn.Conv2d(n, config.m, 1) for _ in range(STEPS))

    def forward(self, step: int, features: Tensor, y_hat: Tensor) -> Tensor:
        """Return mu, float [B, M, h, w], meaningful where `step_masks` of this step is set.

        features: [B, hyper, h, w]; y_hat: [B, M, h, w], zero where not yet decoded, unused in step 0.
        """
        h = self.from_hyper[step](features)
        h = self.mix[step - 1](act(h + self.from_latent[step - 1](y_hat))) if step else act(h)
        mu: Tensor = self.leave[step](h)
        return mu
