"""Minimise bits and error of a tile by gradient descent on y and z, with a relaxation of rounding.

y uses a mean-field relaxation: each residual is rounded at random to one of the two integers around it, and
bits and error are evaluated at its mean, without sampling noise, so few and large steps suffice. The variance
of the rounding is added to the error with a weight that grows from 0, or residuals would stay near the
integers where they begin. z, for whose error there is no formula, uses stochastic Gumbel annealing (SGA:
Yang, Bamler and Mandt, Improving Inference for Neural Image Compression, 2020).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.bitstream.rate_index import nearest_rate_point
from codec.encode.options import Budget
from codec.encode.rdo import soft_rate
from codec.encode.rdo.objective import Objective
from codec.encode.rdo.soft_rate import soft_tile
from codec.inference.gradients import Adam, soft_graphs
from codec.inference.scale_network import dead_zone
from codec.inference.weights import LoadedModel
from codec.tiles.quantise import hyper_latents
from codec.tiles.transforms import Block, synthesis_frame

LEARNING_RATE_Y, LEARNING_RATE_Z = 0.1, 0.06
# Share of the learning rates at the end.
LEARNING_RATE_END = 0.1
# The usual first moment of 0.9 needs several times as many iterations (measured on crops of training tiles).
MOMENTS = (0.3, 0.999)
# Temperatures of SGA at the start and at the end.
HOTTEST, COLDEST = 0.6, 0.1
# At the end, a value closer to an integer than this share of the distance to the next becomes that integer.
FLAT_LAST = 0.45
SEED = 20_201_208
# Number of iterations timed before the number that fits the budget is computed.
_TRIED = 3
# Keeps the probabilities of the two neighbours away from 0 and 1.
_EDGE = 1e-4


class SoftError:
    """Differentiable error, in bits, of a tile and the rim that it affects."""

    def __init__(self, objective: Objective) -> None:
        self._objective, view = objective, objective.view
        self._around = torch.from_numpy(objective.around)[None]
        self._steps = torch.from_numpy(objective.steps)
        rows, columns = view.y.shape[1:]
        whole = Block(0, 0, rows, columns)
        frame, _, _ = synthesis_frame(
            objective.model, rows, columns, whole, objective.header_rate_index, view.present
        )
        self._g_s = "synthesis_gaps" if "at8" in frame else "synthesis"
        self._frame = {name: torch.from_numpy(value) for name, value in frame.items()}

    def __call__(self, y_hat: Tensor) -> Tensor:
        """Return the error as a scalar. y_hat: the tile's latent in quantiser steps, float [M, h, w]."""
        view, whole = self._objective.view, self._around.clone()
        place = (slice(view.top, view.top + view.rows), slice(view.left, view.left + view.columns))
        whole[0, :, place[0], place[1]] = y_hat * self._steps
        whole = whole.contiguous(memory_format=torch.channels_last)
        levels = soft_graphs(self._objective.model).run(self._g_s, y_hat=whole, **self._frame)[0]
        x_hat = levels.reshape(self._objective.view.x.shape)
        if self._objective.gray:
            x_hat = x_hat.mean(2, keepdim=True)
        error: Tensor = self._objective.error(x_hat.clamp(0, 255), torch.from_numpy)
        return error


class Refined(NamedTuple):
    """Result of refine.

    y: scaled latent to quantise, float32 [M, h, w] in quantiser steps. z: int16 [H, hz, wz].
    """

    y: NDArray[np.float32]
    z: NDArray[np.int16]


def refine(
    model: LoadedModel,
    y: NDArray[np.float32],
    rate_index: int,
    error: Callable[[Tensor], Tensor],
    step_bits: NDArray[np.float32],
    iterations: int,
    budget: Budget,
) -> Refined:
    """Return latents of lower cost, starting from the output of g_a, y float32 [M, h, w] in quantiser steps.

    error: y_hat in quantiser steps -> weighted error in bits. step_bits: bits that an error of one quantiser
    step adds to it, [M, h, w]. budget: if all iterations would exceed it, there are fewer and the annealing
    is faster. Floating point, so the result is reproducible only on one thread of one machine.
    """
    tables, generator = model.coder.tables, torch.Generator().manual_seed(SEED)
    rate_point = nearest_rate_point(rate_index)
    low = torch.from_numpy(tables.z_lo[rate_point].astype(np.float32))[:, None, None]
    high = low + torch.from_numpy((tables.z_size[rate_point] - 1).astype(np.float32))[:, None, None]
    threshold = torch.from_numpy(dead_zone())
    with torch.inference_mode(False), torch.enable_grad():
        leaf_y, worth = soft_rate.split(y).requires_grad_(), soft_rate.split(step_bits)
        leaf_z = torch.from_numpy(hyper_latents(model, y)[None]).requires_grad_()
        learning_rates = (LEARNING_RATE_Y, LEARNING_RATE_Z)
        optimisers = [Adam(leaf, MOMENTS) for leaf in (leaf_y, leaf_z)]
        started, total, index = time.monotonic(), iterations, 0
        while index < total:
            done = index / max(1, total - 1)
            spread: list[Tensor] = []

            def residual(
                step: int, mu: Tensor, index: Tensor, done: float = done, spread: list[Tensor] = spread
            ) -> Tensor:
                r, variance = expected(leaf_y[step] - mu, threshold[index], done)
                spread.append((worth[step] * torch.where(index > 0, variance, 0.0)).sum())
                return r

            heat = HOTTEST * (COLDEST / HOTTEST) ** done
            z = stochastic_round(leaf_z, heat, generator).clamp(low, high)
            tile = soft_tile(model, z, rate_index, residual)
            cost = tile.bits + error(soft_rate.join(tile.y_hat, y.shape)) + done * sum(spread)
            cost.backward()
            for optimiser, learning_rate in zip(optimisers, learning_rates, strict=True):
                optimiser.step(learning_rate * (1 + (LEARNING_RATE_END - 1) * done))
            index += 1
            taken = time.monotonic() - started
            if budget.seconds is not None and index == _TRIED:
                total = max(index, min(iterations, int(index * budget.seconds / taken)))
            if budget.seconds is not None and taken > budget.seconds:
                break
            budget.tick(index / total)
        whole = tables.clamp_z(leaf_z.detach()[0].round().numpy(), rate_point)
    return Refined(soft_rate.join(leaf_y.detach(), y.shape).numpy(), whole)


def expected(value: Tensor, threshold: Tensor, done: float) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance of residuals rounded at random to one of the two integers around them.

    threshold: magnitude of at most 1 that becomes 0 or 1 with equal probability (the dead zone); above 1,
    halfway between integers does. done: share of the descent, 0..1; the probability of the upper integer is
    linear in the magnitude at 0 and nearly a step at 1.
    """
    magnitude = value.abs()
    low = magnitude.detach().floor()
    flat = FLAT_LAST * done
    chance = ((_share(magnitude - low, low, threshold) - flat) / (1 - 2 * flat)).clamp(0, 1)
    return value.detach().sign() * (low + chance), chance * (1 - chance)


def stochastic_round(value: Tensor, heat: float, generator: torch.Generator) -> Tensor:
    """Sample between the two integers around a value by a Gumbel softmax of temperature `heat` (SGA)."""
    low = value.detach().floor()
    share = (value - low).clamp(_EDGE, 1 - _EDGE)
    lead = (torch.atanh(share) - torch.atanh(1 - share)) / heat
    uniform = torch.rand(value.shape, generator=generator).clamp(_EDGE / 100, 1 - _EDGE / 100)
    # The difference of two Gumbel variables is logistic.
    return low + torch.sigmoid((lead + uniform.logit()) / heat)


def _share(above: Tensor, low: Tensor, threshold: Tensor) -> Tensor:
    """Return the position of magnitudes between two integers, 0..1; 0.5 where rounding changes.

    above: magnitude - low. low: the lower integer.
    """
    even = torch.where(low > 0, 0.5, threshold)
    return torch.where(above < even, above / (2 * even), 1 - (1 - above) / (2 * (1 - even)))
