"""Between a tile's latent and its symbols: quantisation with the four-step mean context, and back."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.bitstream.quality import rate_band
from codec.entropy.coder import TileDecoder
from codec.entropy.steps import STEPS, step_of
from codec.model.config import STEP_UNITS
from codec.model.quadtree import step_masks
from codec.model.quantiser import dead_zone, quantise, reconstruct
from codec.model.scale_network import ScaleStart
from codec.model.weights import LoadedModel

R_MAX = 32767
# Bits that one squared quantiser step of error is worth at the slope each rate point was trained for:
# 12 / (2 ln 2), from step^2 / 12 = 3 / (2 ln 2 lmbda 255^2).
BITS_PER_SQUARED_STEP = 8.66
# What coding a value far outside a level-1 table costs in bits, generously.
OUTLIER_BITS = 40.0
LIFT_GAIN_BITS = 64.0


@dataclasses.dataclass(frozen=True)
class TileSymbols:
    """What one tile's codestream holds.

    Attributes:
        z: int16 [H, hz, wz].
        r: int16 [M, h, w], zero where scale_index is 0.
        scale_index: uint8 [M, h, w], lifted where `lift` is set.
        lift: whether index 0 was raised to 1.
    """

    z: NDArray[np.int16]
    r: NDArray[np.int16]
    scale_index: NDArray[np.uint8]
    lift: bool


def rate_tensor(quality: int) -> Tensor:
    """Rate in 0..7 as the float networks take it, [1]; quality 0..1792."""
    return torch.tensor([quality / STEP_UNITS])


def _features(model: LoadedModel, z: NDArray[np.int16], quality: int) -> Tensor:
    z_hat = torch.from_numpy(z.astype(np.float32))[None].contiguous(memory_format=torch.channels_last)
    features: Tensor = model.network.h_s_mean(z_hat, rate_tensor(quality))
    return features


def _level(scale_index: NDArray[np.uint8]) -> Tensor:
    """Scale indices [M, h, w] as int64 [1, M, h, w] in the layout of the latents: mixed layouts are slow."""
    return torch.from_numpy(scale_index)[None].contiguous(memory_format=torch.channels_last).long()


@functools.lru_cache(maxsize=4)
def _masks(channels: int, height: int, width: int) -> tuple[Tensor, ...]:
    """The step masks of one size, bool [1, M, h, w] each, in the layout of the latents; never written to."""
    # Made in inference mode they could serve no gradient later.
    with torch.inference_mode(False):
        masks = step_masks(channels, height, width)
        return tuple(mask[None].contiguous(memory_format=torch.channels_last) for mask in masks)


def _walk(
    model: LoadedModel, start: ScaleStart, features: Tensor, y: Tensor, quality: int, lift: bool
) -> tuple[NDArray[np.int16], NDArray[np.uint8], float]:
    """Quantise y [1, M, h, w] in four steps: r, scale_index, and the bits that coding the zeros is worth."""
    masks, steps = _masks(*y.shape[1:]), step_of(*y.shape[1:])
    residual = torch.zeros_like(y)
    y_hat = torch.zeros_like(y)
    scale_index = np.zeros(y.shape[1:], np.uint8)
    missed = 0.0
    for step in range(STEPS):
        known = residual[0].numpy().astype(np.int16)
        own_index = model.scale.scale_index(step, start, known, quality, lift=lift)
        scale_index = np.where(steps == step, own_index, scale_index)
        level = _level(own_index)
        coded, threshold, lean = level > 0, dead_zone()[level], model.network.lean_at(level)
        mu = model.network.context(step, features, y_hat)
        exact = torch.where(masks[step], y - mu, 0.0)
        r = quantise(exact, threshold).clamp(-R_MAX, R_MAX)
        missed += _worth(exact, r, (r != 0) & ~coded)
        r *= coded
        residual += r
        y_hat = torch.where(masks[step], mu + reconstruct(r, lean), y_hat)
    return residual[0].numpy().astype(np.int16), scale_index, missed


def _worth(exact: Tensor, r: Tensor, where: Tensor) -> float:
    """Bits that coding residuals r of exact values is worth at some places, most often none."""
    e, whole = exact[where], r[where]
    gain = BITS_PER_SQUARED_STEP * (e.square() - (e - whole).square()) - OUTLIER_BITS
    return float(gain.clamp(min=0).sum())


def quantise_tile(model: LoadedModel, y: Tensor, quality: int) -> TileSymbols:
    """Turn a tile's scaled latent y, float [1, M, h, w], into symbols; quality 0..1792."""
    tables = model.coder.tables
    z_float = model.network.h_a(y)[0].round().numpy()
    z = tables.clamp_z(z_float, rate_band(quality))
    start, features = model.scale.start(z), _features(model, z, quality)
    r, scale_index, missed = _walk(model, start, features, y, quality, False)
    lift = missed > LIFT_GAIN_BITS
    if lift:
        r, scale_index, _ = _walk(model, start, features, y, quality, True)
    return TileSymbols(z, r, scale_index, lift)


def decode_residuals(
    model: LoadedModel, decoder: TileDecoder, z: NDArray[np.int16], quality: int, lift: bool
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Decode the four steps of a tile whose z has been read: r int16 and scale_index uint8, [M, h, w]."""
    start = model.scale.start(z)
    r = np.zeros(start.levels.shape, np.int16)
    scale_index = np.zeros(r.shape, np.uint8)
    steps = step_of(*r.shape)
    for step in range(STEPS):
        own_index = model.scale.scale_index(step, start, r, quality, lift=lift)
        scale_index = np.where(steps == step, own_index, scale_index)
        r = decoder.r(own_index)
    return r, scale_index


def dequantise_tile(model: LoadedModel, symbols: TileSymbols, quality: int) -> Tensor:
    """Rebuild what g_s takes, float [1, M, h, w], from a tile's symbols and its own quality 0..1792."""
    z, r = symbols.z, symbols.r
    features = _features(model, z, quality)
    lean = model.network.lean_at(_level(symbols.scale_index))
    whole = torch.from_numpy(r.astype(np.float32))[None].contiguous(memory_format=torch.channels_last)
    residual = reconstruct(whole, lean)
    masks = _masks(*r.shape)
    y_hat = torch.zeros_like(residual)
    for step in range(STEPS):
        mu = model.network.context(step, features, y_hat)
        y_hat = torch.where(masks[step], mu + residual, y_hat)
    return model.network.unscale_latent(y_hat, rate_tensor(quality))
