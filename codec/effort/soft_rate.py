"""The bits of a tile as a differentiable function of y_hat, r and z, through both contexts.

Values are those of the integer network and the stored tables at integers; between them straight lines, and
floors let gradients through as if they were not there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from codec.bitstream.quality import rate_band
from codec.effort.bits import bits_by_magnitude
from codec.entropy.steps import STEPS
from codec.entropy.tables import LEVELS, PRECISION, Z_MAX, EntropyTables
from codec.model.config import STEP_UNITS
from codec.model.inference.graphs import ACTIVATION_MAX
from codec.model.quadtree import step_masks
from codec.model.scale_network import INPUT_MAX, interpolate_offset
from codec.model.weights import LoadedModel

# Values outside a table of z cannot be coded; nothing should lead there.
_OUTSIDE_BITS = 40.0


class SoftTile(NamedTuple):
    """bits: of z and r together, a scalar. y_hat: in quantiser steps, float [1, M, h, w]."""

    bits: Tensor
    y_hat: Tensor


def floored(value: Tensor) -> Tensor:
    """Round down; gradients pass as if nothing were done."""
    return value + (value.floor() - value).detach()


def walk_softly(
    model: LoadedModel,
    z: Tensor,
    quality: int,
    residual: Callable[[int, Tensor], tuple[Tensor, Tensor, Tensor]],
    *,
    leans: bool = True,
) -> SoftTile:
    """Go through a tile in coding order. z: float [1, H, hz, wz], within the tables of the quality's band.

    residual: step, mu -> what is coded, whose bits count; the same as later steps' scales see it; and y_hat
    as later steps' means see it. All are [1, M, h, w], of which the step's elements count. leans: whether
    y_hat still has to lean towards the mean.
    """
    network = model.network
    features = network.h_s_mean(z, torch.tensor([quality / STEP_UNITS]))
    hidden, base = _start(model, z)
    offset = torch.from_numpy(interpolate_offset(model.scale.offset, quality)).float()[:, None, None]
    masks = step_masks(*base.shape[1:])
    bits = hyper_bits(model.coder.tables, z, rate_band(quality))
    y_hat, r = torch.zeros_like(base), torch.zeros_like(base)
    for step in range(STEPS):
        level = (base + _from_residuals(model, step, hidden, r) + offset) / 16
        mu = network.context(step, features, y_hat)
        coded, seen, rebuilt = residual(step, mu)
        index = level.detach().floor().clamp(0, LEVELS - 1)
        on = masks[step] & (index > 0)
        bits = bits + torch.where(on, _bits(model.coder.tables, level, coded), 0.0).sum()
        r = torch.where(masks[step], torch.where(on, seen, 0.0), r)
        if leans:
            lean = network.lean_at(index.long())
            rebuilt = torch.where(on, rebuilt + seen.detach().clamp(-1, 1) * lean, mu)
        y_hat = torch.where(masks[step], rebuilt, y_hat)
    return SoftTile(bits, y_hat)


def _start(model: LoadedModel, z: Tensor) -> tuple[Tensor, Tensor]:
    """Input of the last layer, and levels in 1/16 without offset."""
    *before, last = _layers(model, 0)
    x = z.clamp(-INPUT_MAX, INPUT_MAX)
    for layer, facts in zip(before, model.scale.layers, strict=False):
        x = floored(layer(x)).clamp(0, ACTIVATION_MAX)
        x = F.pixel_shuffle(x, 2) if facts.shuffle else x
    return x, floored(last(x))


def _from_residuals(model: LoadedModel, step: int, hidden: Tensor, r: Tensor) -> Tensor:
    if step == 0:
        return torch.zeros(1)
    code = floored(16 * torch.log2(1 + r.abs())).clamp(max=INPUT_MAX)
    *before, last = _layers(model, step)
    x = torch.cat([code, hidden], 1)
    for layer in before:
        x = floored(layer(x)).clamp(0, ACTIVATION_MAX)
    return floored(last(x))


def _bits(tables: EntropyTables, level: Tensor, r: Tensor) -> Tensor:
    """Bits of residuals: those of the level below, with the slope towards the next one."""
    curve = _curve(tables)
    width, flat = curve.shape[1], curve.reshape(-1)
    magnitude = r.abs().clamp(max=width - 2)
    low = magnitude.detach().floor()
    bounded = level.clamp(0, LEVELS - 1)
    index = (bounded.detach().floor().clamp(max=LEVELS - 2) * width + low).long()
    share = magnitude - low
    here = torch.lerp(flat[index], flat[index + 1], share)
    above = torch.lerp(flat[index + width], flat[index + width + 1], share)
    top = bounded.detach() >= LEVELS - 1
    return torch.where(top, above, here) + (above - here).detach() * (bounded - bounded.detach())


@functools.lru_cache(maxsize=4)
def _curve(tables: EntropyTables) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(bits_by_magnitude(tables))


def hyper_bits(tables: EntropyTables, z: Tensor, band: int) -> Tensor:
    """Bits of hyper-latents that need not be integers, float [1, H, hz, wz], summed."""
    curve = _hyper_curve(tables, band)
    low = z.detach().floor()
    index = (low + Z_MAX + 1).long()
    channel = torch.arange(z.shape[1])[:, None, None]
    return torch.lerp(curve[channel, index], curve[channel, index + 1], z - low).sum()


@functools.lru_cache(maxsize=8)
def _hyper_curve(tables: EntropyTables, band: int) -> Tensor:
    """Bits of z = -128..129 by channel, float [H, 258]."""
    curve = np.full((tables.z_channels, 2 * Z_MAX + 4), _OUTSIDE_BITS, np.float32)
    for channel in range(tables.z_channels):
        bits = PRECISION - np.log2(tables.z_table(band, channel).astype(np.float64))
        first = int(tables.z_lo[band, channel]) + Z_MAX + 1
        curve[channel, first : first + bits.size] = bits
    with torch.inference_mode(False):
        return torch.tensor(curve)


def _layers(model: LoadedModel, step: int) -> list[Callable[[Tensor], Tensor]]:
    """Convolutions of the integer network without their floors: of z for step 0, else of a context."""
    scale = model.scale
    facts, prefix = (scale.context_layers, f"scale.context.{step - 1}") if step else (scale.layers, "scale")
    return [
        functools.partial(
            _convolve,
            torch.from_numpy(scale.arrays[f"{prefix}.{index}.weight"].astype(np.float32)),
            torch.from_numpy(scale.arrays[f"{prefix}.{index}.bias"].astype(np.float32)),
            2.0**-layer.shift,
        )
        for index, layer in enumerate(facts)
    ]


def _convolve(weight: Tensor, bias: Tensor, factor: float, x: Tensor) -> Tensor:
    return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2) * factor
