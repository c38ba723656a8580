"""Compute the bits of a tile and y_hat as differentiable functions of r and z.

At integers the values equal those of the integer scale network and the stored tables; between integers they
are interpolated linearly. Gradients pass through floors unchanged. Latents are split by coding step as in
codec.entropy.steps, with the 2x2 squares flattened into one dimension: [4 steps, 4 positions, Q channels, n].
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from codec.bitstream.geometry import LATENT_STRIDE
from codec.bitstream.rate_index import SCALE_COUNT, nearest_rate_point
from codec.encode.rdo.decision import bits_by_magnitude
from codec.entropy import steps
from codec.entropy.steps import STEPS
from codec.entropy.tables import PRECISION, Z_MAX, EntropyTables
from codec.inference.gradients import soft_graphs
from codec.inference.scale_network import MAGNITUDE_CODE, factors
from codec.inference.weights import LoadedModel

# Bits of a value outside a table of z. It cannot be coded, so the cost must be high enough to avoid it.
_OUTSIDE_BITS = 40.0
_CODE = torch.from_numpy(MAGNITUDE_CODE)


@functools.lru_cache(maxsize=4)
def rate_curve(tables: EntropyTables) -> Tensor:
    """Return bits by scale index and magnitude as a tensor; see bits_by_magnitude."""
    with torch.inference_mode(False):
        return torch.tensor(bits_by_magnitude(tables))


class RateCurve:
    """Bits of real-valued residuals: the stored tables, interpolated linearly."""

    def __init__(self, tables: EntropyTables) -> None:
        self._curve = rate_curve(tables)

    def __call__(self, r: Tensor, scale_index: Tensor) -> Tensor:
        """Return bits, differentiable in r. r: float; scale_index: int64, 0..63; both of one shape."""
        width = self._curve.shape[1]
        magnitude = r.abs().clamp(max=width - 2)
        low = magnitude.detach().floor()
        index = scale_index * width + low.long()
        flat = self._curve.reshape(-1)
        return torch.lerp(flat[index], flat[index + 1], magnitude - low)


def split(planes: NDArray[Any]) -> Tensor:
    """Split planes [M, h, w] by coding step: [4, 4, Q, n]."""
    parts = np.stack([steps.take(planes, step) for step in range(STEPS)])
    return torch.from_numpy(parts.reshape(*parts.shape[:3], -1))


def join(parts: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Invert split, differentiably: parts [4, 4, Q, n] to a tensor of shape = (M, h, w)."""
    channels, height, width = shape
    h2, w2 = -(-height // 2), -(-width // 2)
    order = [[_step_of(c, p) for p in range(STEPS)] for c in range(STEPS)]
    planes = torch.stack([parts[order[c][p], p] for c in range(STEPS) for p in range(STEPS)])
    # Axes: channel mod 4, row and column in the square, channel // 4, the square's row and column.
    spread = planes.reshape(STEPS, 2, 2, -1, h2, w2).permute(3, 0, 4, 1, 5, 2)
    return spread.reshape(-1, 2 * h2, 2 * w2)[:channels, :height, :width]


def _step_of(channel: int, position: int) -> int:
    return next(step for step in range(STEPS) if steps.group(step, position) == channel)


class SoftTile(NamedTuple):
    """bits: of z and r together, a scalar. y_hat: in quantiser steps, float [4, 4, Q, n] as from split."""

    bits: Tensor
    y_hat: Tensor


def soft_tile(
    model: LoadedModel,
    z: Tensor,
    rate_index: int,
    residual: Callable[[int, Tensor, Tensor], Tensor],
) -> SoftTile:
    """Return the bits and y_hat of a tile, computed in coding order.

    z: float [1, H, hz, wz], within the tables of its rate point. rate_index: the tile's own, 0..2560.
    residual: (step, mu, scale index) -> r, all but the step [4, Q, n].
    """
    run = soft_graphs(model).run
    features, hidden, sixteenths, inside, grid = _start(model, z, rate_index)
    within = _by_position(inside) > 0
    lean = torch.from_numpy(model.arrays["lean"])
    size = sixteenths.shape[1] // STEPS
    bits = hyper_bits(model.coder.tables, z, nearest_rate_point(rate_index))
    known: list[Tensor] = []
    codes: list[Tensor] = []
    for step in range(STEPS):
        soft_index = sixteenths[:, step * size : (step + 1) * size]
        if step:
            seen_by_scale = {"hidden": hidden, "codes": torch.cat(codes, 1)}
            soft_index = soft_index + run(f"scale{step}", **seen_by_scale, inside=inside, grid=grid)[0]
            seen_by_mean = {"features": features[step], "known": torch.cat(known, 1)}
            mu = run(f"mean{step}", **seen_by_mean, inside=inside, grid=grid)[0]
        else:
            mu = run("mean0", features=features[0])[0]
        soft_index = (soft_index + torch.from_numpy(model.scale.offset_of(step, rate_index))[..., 0]) / 16
        index = soft_index.detach().floor().clamp(0, SCALE_COUNT - 1).long()
        r = residual(step, mu, index)
        on = (index > 0) & within
        bits = bits + torch.where(on, _bits(model.coder.tables, soft_index, r), 0.0).sum()
        y_hat = mu + r + r.detach().clamp(-1, 1) * lean[index]
        known.append(torch.where(on, y_hat, mu * within))
        codes.append(torch.where(on, _code(r), 0.0))
    return SoftTile(bits, torch.stack(known))


def _start(
    model: LoadedModel, z: Tensor, rate_index: int
) -> tuple[list[Tensor], Tensor, Tensor, Tensor, Tensor]:
    """Return everything that depends only on z, in the layout of the graphs.

    These are: features of the means by step; input and output of the scale network's last layer; a mask of
    the positions inside the tile; and the grid of 2x2 squares.
    """
    run, scale = soft_graphs(model).run, model.scale
    rate = torch.from_numpy(factors(model.arrays["h_s_mean.rate.log_scale"], rate_index))[None, :, None, None]
    odd = (0, z.shape[3] % 2, 0, z.shape[2] % 2)
    even = F.pad(z, odd).contiguous(memory_format=torch.channels_last)
    first = F.pad(torch.ones(1, 1, *z.shape[2:]), odd)
    shuffles = (scale.z_stride // LATENT_STRIDE).bit_length()
    insides = [first.repeat_interleave(1 << i, 2).repeat_interleave(1 << i, 3) for i in range(shuffles)]
    named = {f"inside{i}": inside for i, inside in enumerate(insides)}
    hidden, sixteenths = run("scale", z=even.clamp(-Z_MAX, Z_MAX), **named)
    features = run("hyper_mean", z=z.contiguous(memory_format=torch.channels_last), rate=rate)
    rows, columns = hidden.shape[2:]
    missing = (0, columns - features[0].shape[3], 0, rows - features[0].shape[2])
    wide = [F.pad(part, missing) if any(missing) else part for part in features]
    return wide, hidden, sixteenths, insides[-1], torch.tensor([1, -1, rows // 2, columns // 2])


def _by_position(x: Tensor) -> Tensor:
    """Rearrange a map [1, 1, rows, columns] by position in each 2x2 square: [4, 1, n]."""
    _, _, rows, columns = x.shape
    return x.reshape(rows // 2, 2, columns // 2, 2).permute(1, 3, 0, 2).reshape(STEPS, 1, -1)


def _code(r: Tensor) -> Tensor:
    """Return the magnitude code of residuals, 0..127 (FORMAT.md section 8.2), linear between integers."""
    magnitude = r.abs().clamp(max=_CODE.numel() - 2)
    low = magnitude.detach().floor()
    index = low.long()
    return torch.lerp(_CODE[index], _CODE[index + 1], magnitude - low)


def _bits(tables: EntropyTables, soft_index: Tensor, r: Tensor) -> Tensor:
    """Return the bits of residuals at the scale index below soft_index, with the slope to the next index."""
    curve = rate_curve(tables)
    width, flat = curve.shape[1], curve.reshape(-1)
    magnitude = r.abs().clamp(max=width - 2)
    low = magnitude.detach().floor()
    bounded = soft_index.clamp(0, SCALE_COUNT - 1)
    index = (bounded.detach().floor().clamp(max=SCALE_COUNT - 2) * width + low).long()
    share = magnitude - low
    here = torch.lerp(flat[index], flat[index + 1], share)
    above = torch.lerp(flat[index + width], flat[index + width + 1], share)
    top = bounded.detach() >= SCALE_COUNT - 1
    return torch.where(top, above, here) + (above - here).detach() * (bounded - bounded.detach())


def hyper_bits(tables: EntropyTables, z: Tensor, rate_point: int) -> Tensor:
    """Return the total bits of real-valued hyper-latents, float [1, H, hz, wz]."""
    curve = _hyper_curve(tables, rate_point)
    low = z.detach().floor()
    index = (low + Z_MAX + 1).long()
    channel = torch.arange(z.shape[1])[:, None, None]
    return torch.lerp(curve[channel, index], curve[channel, index + 1], z - low).sum()


@functools.lru_cache(maxsize=8)
def _hyper_curve(tables: EntropyTables, rate_point: int) -> Tensor:
    """Return the bits of z = -128..129 for each channel, float [H, 258]."""
    curve = np.full((tables.z_channels, 2 * Z_MAX + 4), _OUTSIDE_BITS, np.float32)
    for channel in range(tables.z_channels):
        bits = PRECISION - np.log2(tables.z_table(rate_point, channel).astype(np.float64))
        first = int(tables.z_lo[rate_point, channel]) + Z_MAX + 1
        curve[channel, first : first + bits.size] = bits
    with torch.inference_mode(False):
        return torch.tensor(curve)
