"""Gradient descent on y and z under annealed stochastic rounding (SGA: Yang, Bamler, Mandt 2020)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.bitstream.quality import rate_band
from codec.effort import soft_quarters
from codec.effort.soft_rate import walk_softly
from codec.model.factors import dead_zone
from codec.model.weights import LoadedModel
from codec.runtime.latents import hyper_latents

RATE_Y, RATE_Z = 0.01, 0.005
HOTTEST, COLDEST = 0.35, 0.2
SEED = 20_201_208
# Iterations after which the time that one takes is known well enough to plan the others.
_TRIED = 3
# Keeps probabilities of the two neighbours off 0 and 1.
_EDGE = 1e-4


class Refined(NamedTuple):
    """y: target for decisions, float32 [M, h, w] in quantiser steps. z: int16 [H, hz, wz]."""

    y: NDArray[np.float32]
    z: NDArray[np.int16]


def refine(
    model: LoadedModel,
    y: NDArray[np.float32],
    quality: int,
    error: Callable[[Tensor], Tensor],
    iterations: int,
    seconds: float | None,
    tick: Callable[[float], None],
) -> Refined:
    """Seek latents of a lower cost, from what g_a gives, y float32 [M, h, w] in quantiser steps.

    error: y_hat in quantiser steps -> weighted error in bits. seconds: stop in time for this, the temperature
    falling faster. tick: called with the share that is done. Float, so exact on one thread of one machine.
    """
    tables, generator = model.coder.tables, torch.Generator().manual_seed(SEED)
    band = rate_band(quality)
    low = torch.from_numpy(tables.z_lo[band].astype(np.float32))[:, None, None]
    high = low + torch.from_numpy((tables.z_size[band] - 1).astype(np.float32))[:, None, None]
    threshold, half = torch.from_numpy(dead_zone()), torch.tensor(0.5)
    with torch.inference_mode(False), torch.enable_grad():
        leaf_y = soft_quarters.split(y).requires_grad_()
        leaf_z = torch.from_numpy(hyper_latents(model, y)[None]).requires_grad_()
        optimiser = torch.optim.Adam([{"params": [leaf_y], "lr": RATE_Y}, {"params": [leaf_z], "lr": RATE_Z}])
        started, total, index = time.monotonic(), iterations, 0
        while index < total:
            heat = HOTTEST * (COLDEST / HOTTEST) ** (index / max(1, total - 1))

            def residual(
                step: int, mu: Tensor, index: Tensor, heat: float = heat
            ) -> tuple[Tensor, Tensor, Tensor]:
                r = softly_rounded(leaf_y[step] - mu, threshold[index], heat, generator)
                return r, r, mu + r

            z = softly_rounded(leaf_z, half, heat, generator).clamp(low, high)
            tile = walk_softly(model, z, quality, residual)
            cost = tile.bits + error(soft_quarters.join(tile.y_hat, y.shape))
            optimiser.zero_grad()
            cost.backward()
            optimiser.step()
            index += 1
            if seconds is not None and index == _TRIED:
                total = max(index, min(iterations, int(index * seconds / (time.monotonic() - started))))
            if seconds is not None and time.monotonic() - started > seconds:
                break
            tick(index / total)
        whole = tables.clamp_z(leaf_z.detach()[0].round().numpy(), band)
    return Refined(soft_quarters.join(leaf_y.detach(), y.shape).numpy(), whole)


def softly_rounded(value: Tensor, threshold: Tensor, heat: float, generator: torch.Generator) -> Tensor:
    """Draw between the two integers around a value, by a Gumbel softmax of this temperature.

    threshold: magnitudes up to 1 that become 1 half the time; from 1 on halfway is halfway.
    """
    magnitude = value.abs()
    low = magnitude.detach().floor()
    even = torch.where(low > 0, 0.5, threshold)
    above = magnitude - low
    share = torch.where(above < even, above / (2 * even), 1 - (1 - above) / (2 * (1 - even)))
    share = share.clamp(_EDGE, 1 - _EDGE)
    lead = (torch.atanh(share) - torch.atanh(1 - share)) / heat
    uniform = torch.rand(value.shape, generator=generator).clamp(_EDGE / 100, 1 - _EDGE / 100)
    # The difference of two Gumbel variables is logistic.
    return value.detach().sign() * (low + torch.sigmoid((lead + uniform.logit()) / heat))
