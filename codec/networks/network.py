r"""g_a, g_s, h_a and h_s as torch modules.

x - 0.5 -> lap -> patch(8x8) = f at 1/8 ----- unshuffle2, 1x1 -------------------------+-> y at 1/16
                             \- 1x1, blocks at 1/8, unshuffle2, 1x1, blocks at 1/16, 1x1 -/

Scales come only from the integer network (`integer_scales`), which must not depend on any float network.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.entropy.steps import STEPS
from codec.inference.weights import LoadedModel
from codec.model.config import PATCH, PATCH_CHANNELS, ModelConfig
from codec.networks.layers import (
    RateScale,
    Separable,
    Window,
    act,
    filter_matrix,
    interpolate,
    lap,
    trunk,
    unlap,
)


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
    """Predict the means of a coding step from the hyper features and the elements of earlier steps."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        n = config.hyper
        self.from_hyper = nn.ModuleList(nn.Conv2d(n, n, 1) for _ in range(STEPS))
        self.from_latent = nn.ModuleList(nn.Conv2d(config.m, n, 1, bias=False) for _ in range(STEPS - 1))
        self.mix = nn.ModuleList(Separable(n) for _ in range(STEPS - 1))
        self.leave = nn.ModuleList(nn.Conv2d(n, config.m, 1) for _ in range(STEPS))

    def forward(self, step: int, features: Tensor, y_hat: Tensor) -> Tensor:
        """Return mu, float [B, M, h, w], valid where `step_masks` of this step is True.

        features: [B, hyper, h, w]. y_hat: [B, M, h, w], zero where not yet decoded, unused in step 0.
        """
        h = self.from_hyper[step](features)
        h = self.mix[step - 1](act(h + self.from_latent[step - 1](y_hat))) if step else act(h)
        mu: Tensor = self.leave[step](h)
        return mu


class Network(nn.Module):
    """All float networks: g_a, g_s, h_a, h_s_mean, the mean context, and the gains.

    Attributes:
        gain: log of the factor on y per rate point and channel, float [11, M].
        inverse_gain: log of the factor on y_hat before g_s, float [11, M].
        lean: distance of reconstruction points from the integers, away from zero, by scale index, float [64];
            negative, that is, towards zero.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.g_a = Analysis(config)
        self.g_s = Synthesis(config)
        self.h_a = HyperAnalysis(config)
        self.h_s_mean = HyperMean(config)
        self.context = MeanContext(config)
        self.gain = nn.Parameter(torch.zeros(RATE_POINTS, config.m))
        self.inverse_gain = nn.Parameter(torch.zeros(RATE_POINTS, config.m))
        self.lean = nn.Parameter(torch.zeros(SCALE_COUNT))

    def project_windows(self) -> None:
        """Project the lapped filters (see Window); call after each optimiser step."""
        self.g_a.lap.project()
        self.g_s.unlap.project()

    def scale_latent(self, y: Tensor, rate_point: Tensor) -> Tensor:
        """Return y * exp(gain[rate_point]), in quantiser steps. y: [B, M, h, w], rate_point: [B]."""
        return y * interpolate(self.gain, rate_point).exp()

    def lean_at(self, scale_index: Tensor) -> Tensor:
        """Return `lean` at scale indices, integers [B, M, h, w]: float of the same shape."""
        return F.embedding(scale_index, self.lean[:, None]).squeeze(-1)

    def unscale_latent(self, y_hat: Tensor, rate_point: Tensor) -> Tensor:
        """Return y_hat * exp(inverse_gain[rate_point]); this roughly inverts scale_latent. Same shapes."""
        return y_hat * interpolate(self.inverse_gain, rate_point).exp()


def from_arrays(config: ModelConfig, arrays: Mapping[str, NDArray[Any]]) -> Network:
    """Return the networks of loaded weights in evaluation mode; arrays: by parameter name."""
    # Parameters created in inference mode could not be used with gradients later.
    with torch.inference_mode(False):
        network = Network(config)
        network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in arrays.items()})
        network.eval().requires_grad_(False)
        # Convolutions run about 1.6 times faster in this layout; torch converts the activations itself.
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@functools.lru_cache(maxsize=4)
def float_network(model: LoadedModel) -> Network:
    """Return the float networks of a loaded model in evaluation mode, for gradients or single networks."""
    return from_arrays(model.config, model.arrays)
