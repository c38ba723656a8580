"""Gradient descent on y and z with rounding that hardens, on bits and error.

y by mean fields: each residual is its mean, as if it were rounded at random to one of the integers around
it, and bits and error are those expected. No noise of sampling, so few and large steps do. What rounding adds
to the error counts little at first, or residuals would stay between the integers where they begin. z, whose
errors no formula weighs, under annealed stochastic rounding (SGA: Yang, Bamler, Mandt 2020).
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
from codec.encode.rdo.soft_rate import walk_softly
from codec.inference.gradients import Adam, soft_graphs
from codec.inference.scale_network import dead_zone
from codec.inference.weights import LoadedModel
from codec.tiles.quantise import hyper_latents
from codec.tiles.transforms import Block, synthesis_frame


class SoftError:
    """Error in bits of one tile and what it changes around it."""

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
        """y_hat: the tile's latent in quantiser steps, float [M, h, w] -> a scalar."""
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


# Measured on crops of training tiles: with the usual first moment of 0.9 it takes several times as many
# iterations.
LEARNING_RATE_Y, LEARNING_RATE_Z = 0.1, 0.06
LEARNING_RATE_END = 0.1
MOMENTS = (0.3, 0.999)
HOTTEST, COLDEST = 0.6, 0.1
# Around each integer, this share of the way to the next is the integer in the end.
FLAT_LAST = 0.45
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
    rate_index: int,
    error: Callable[[Tensor], Tensor],
    step_bits: NDArray[np.float32],
    iterations: int,
    budget: Budget,
) -> Refined:
    """Seek latents of a lower cost, from what g_a gives, y float32 [M, h, w] in quantiser steps.

    error: y_hat in quantiser steps -> weighted error in bits. step_bits: what a residual that is off by one
    step adds to it, [M, h, w]. To stay within the budget rounding hardens faster. Float, so exact on one
    thread of one machine.
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
            z = softly_rounded(leaf_z, heat, generator).clamp(low, high)
            tile = walk_softly(model, z, rate_index, residual)
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
    """Return the mean and the variance of residuals rounded at random to one of the integers around them.

    threshold: magnitudes up to 1 that become 1 half the time; from 1 on halfway is halfway. done: from 0,
    where the chance of the upper grows as the value does, to 1, where it is almost a step.
    """
    magnitude = value.abs()
    low = magnitude.detach().floor()
    flat = FLAT_LAST * done
    chance = ((_share(magnitude - low, low, threshold) - flat) / (1 - 2 * flat)).clamp(0, 1)
    return value.detach().sign() * (low + chance), chance * (1 - chance)


def softly_rounded(value: Tensor, heat: float, generator: torch.Generator) -> Tensor:
    """Draw between the two integers around a value, by a Gumbel softmax of this temperature."""
    low = value.detach().floor()
    share = (value - low).clamp(_EDGE, 1 - _EDGE)
    lead = (torch.atanh(share) - torch.atanh(1 - share)) / heat
    uniform = torch.rand(value.shape, generator=generator).clamp(_EDGE / 100, 1 - _EDGE / 100)
    # The difference of two Gumbel variables is logistic.
    return low + torch.sigmoid((lead + uniform.logit()) / heat)


def _share(above: Tensor, low: Tensor, threshold: Tensor) -> Tensor:
    """How far magnitudes are from the integer below, at low, to the next; half at what rounds either way."""
    even = torch.where(low > 0, 0.5, threshold)
    return torch.where(above < even, above / (2 * even), 1 - (1 - above) / (2 * (1 - even)))
