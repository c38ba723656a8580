"""The float networks of one model under one roof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from codec.bitstream.quality import RATE_POINTS, SCALE_COUNT

from .config import ModelConfig
from .hyperprior import HyperAnalysis, HyperMean, MeanContext
from .rates import interpolate
from .transforms import Analysis, Synthesis


class Network(nn.Module):
    """g_a, g_s, h_a, h_s_mean, the mean context and the gains; everything but scales and tables.

    Attributes:
        gain: log of the factor on y per rate point and channel, float [11, M].
        inverse_gain: log of the factor on y_hat before g_s, float [11, M].
        lean: how far reconstruction points lie beyond the integers, by scale index, float [64]; below zero.
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
        """Keep the lapped filters what they must be; call after each optimiser step."""
        self.g_a.lap.project()
        self.g_s.unlap.project()

    def scale_latent(self, y: Tensor, rate_point: Tensor) -> Tensor:
        """Latent in quantiser steps, y * exp(gain[rate_point]). y: [B, M, h, w], rate_point: [B]."""
        return y * interpolate(self.gain, rate_point).exp()

    def lean_at(self, scale_index: Tensor) -> Tensor:
        """Read `lean` at scale indices, integers [B, M, h, w] -> float of the same shape."""
        return functional.embedding(scale_index, self.lean[:, None]).squeeze(-1)

    def unscale_latent(self, y_hat: Tensor, rate_point: Tensor) -> Tensor:
        """Undo the gains, roughly: y_hat * exp(inverse_gain[rate_point]). y_hat: [B, M, h, w]."""
        return y_hat * interpolate(self.inverse_gain, rate_point).exp()


def from_arrays(config: ModelConfig, arrays: Mapping[str, NDArray[Any]]) -> Network:
    """Return the networks of loaded weights, in inference form; arrays by parameter name."""
    # Parameters made in inference mode could serve no gradient later.
    with torch.inference_mode(False):
        network = Network(config)
        network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in arrays.items()})
        network.eval().requires_grad_(False)
        # Convolutions run about 1.6 times faster in this layout; torch converts the activations itself.
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
