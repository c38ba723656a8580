"""Analysis and synthesis transforms g_a and g_s: a linear lapped transform beside a non-linear trunk.

x - 0.5 -> lap -> patch(8x8) = f at 1/8 ----- unshuffle2, 1x1 -------------------------+-> y at 1/16
                             \\- 1x1, blocks at 1/8, unshuffle2, 1x1, blocks at 1/16, 1x1 -/
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from codec.model.config import PATCH, PATCH_CHANNELS

from .blocks import act, trunk
from .config import ModelConfig
from .lapped import Window, filter_matrix, lap, unlap
from .rates import RateScale


class Analysis(nn.Module):
    """g_a. x: float [B, 3, H, W] in [0, 1], H and W multiples of 16 -> y: float [B, M, H/16, W/16]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.lap = Window(filter_matrix())
        self.patch = nn.Conv2d(3, PATCH_CHANNELS, PATCH, PATCH, bias=False)
        self.linear = nn.Conv2d(4 * PATCH_CHANNELS, config.m, 1, bias=False)
        self.in8 = nn.Conv2d(PATCH_CHANNELS, config.c8, 1)
        self.blocks8 = trunk(config.c8, config.blocks8)
        self.in16 = nn.Conv2d(4 * config.c8, config.c16, 1)
        self.blocks16 = trunk(config.c16, config.blocks16)
        self.out = nn.Conv2d(config.c16, config.m, 1)

    def forward(self, x: Tensor) -> Tensor:
        f = self.patch(lap(x - 0.5, self.lap.matrix))
        h = self.blocks8(act(self.in8(f)))
        h = self.blocks16(act(self.in16(F.pixel_unshuffle(h, 2))))
        y: Tensor = self.linear(F.pixel_unshuffle(f, 2)) + self.out(h)
        return y


class Synthesis(nn.Module):
    """g_s. y_hat: float [B, M, h, w], rate_point: [B] in 0..10 -> x_hat [B, 3, 16h, 16w], not clipped."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.linear = nn.Conv2d(config.m, 4 * PATCH_CHANNELS, 1, bias=False)
        self.in16 = nn.Conv2d(config.m, config.c16, 1)
        self.rate16 = RateScale(config.c16)
        self.blocks16 = trunk(config.c16, config.blocks16)
        self.in8 = nn.Conv2d(config.c16, 4 * config.c8, 1)
        self.rate8 = RateScale(config.c8)
        self.blocks8 = trunk(config.c8, config.blocks8)
        self.out = nn.Conv2d(config.c8, PATCH_CHANNELS, 1)
        self.unlap = Window(filter_matrix().T)
        self.unpatch = nn.Conv2d(PATCH_CHANNELS, PATCH_CHANNELS, 1, bias=False)

    def forward(self, y_hat: Tensor, rate_point: Tensor) -> Tensor:
        h = self.blocks16(self.rate16(act(self.in16(y_hat)), rate_point))
        h = self.blocks8(self.rate8(act(F.pixel_shuffle(self.in8(h), 2)), rate_point))
        f = F.pixel_shuffle(self.linear(y_hat), 2) + self.out(h)
        return unlap(F.pixel_shuffle(self.unpatch(f), PATCH), self.unlap.matrix) + 0.5
