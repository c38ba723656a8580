"""Draw pictures from the codec's prior: z from its tables, then y step by step from p(y | z)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.bitstream.rate_index import nearest_rate_point
from codec.entropy.steps import STEPS
from codec.entropy.tables import R_MAX, EntropyTables
from codec.errors import UsageError
from codec.inference.threads import Progress, map_ordered, worker_count
from codec.inference.weights import LoadedModel
from codec.model.config import SCALE_LOG_STEP, SCALE_MIN
from codec.networks.layers import rate_point_tensor, reconstruct, step_masks
from codec.networks.network import float_network
from codec.vae.picture_latents import choose, synthesise_whole

# Side of samples in pixels: default and maximum.
SIDE = 128
MAX_SIDE = 512

# (mu, scale index), float and int64 [1, M, h, w] -> residuals of that shape; only those of the step are used.
Choice = Callable[[Tensor, Tensor], Tensor]


class Walked(NamedTuple):
    """Result of walk, all [1, M, h, w]: y_hat and residuals r, float; scale_index, int64 in 0..63."""

    y_hat: Tensor
    r: Tensor
    scale_index: Tensor


def scale_indices(model: LoadedModel, z: NDArray[np.int16], r: Tensor, rate_index: int) -> Tensor:
    """Return the scale indices of a tile, int64 [1, M, h, w], at rate_index 0..2560.

    z: hyper-latents, int16 [H, hz, wz]. r: all residuals, float [1, M, h, w], rounded before use.
    """
    return torch.from_numpy(model.scale.scale_indices(z, _integers(r), rate_index).astype(np.int64))[None]


def _integers(r: Tensor) -> NDArray[np.int16]:
    whole: NDArray[np.int16] = r[0].detach().round().clamp(-R_MAX, R_MAX).numpy().astype(np.int16)
    return whole


def walk(model: LoadedModel, z: NDArray[np.int16], rate_index: int, choose: Choice) -> Walked:
    """Compute the latent of a tile in coding order, from its hyper-latents z, int16 [H, hz, wz].

    rate_index: 0..2560. choose: returns the residuals of each step.
    """
    start = model.scale.start(z)
    features = float_network(model).h_s_mean(
        torch.from_numpy(z.astype(np.float32))[None], rate_point_tensor(rate_index)
    )
    masks = step_masks(*start.shape)
    y_hat = torch.zeros(1, *start.shape)
    residual = torch.zeros_like(y_hat)
    scale_indices = torch.zeros_like(y_hat, dtype=torch.int64)
    for step in range(STEPS):
        index = model.scale.scale_index(step, start, _integers(residual), rate_index)
        scale_index = torch.from_numpy(index.astype(np.int64))[None]
        mu = float_network(model).context(step, features, y_hat)
        r = torch.where(masks[step] & (scale_index > 0), choose(mu, scale_index), 0.0)
        residual = residual + r
        scale_indices = torch.where(masks[step], scale_index, scale_indices)
        y_hat = torch.where(
            masks[step], mu + reconstruct(r, float_network(model).lean_at(scale_index)), y_hat
        )
    return Walked(y_hat, residual, scale_indices)


def means(model: LoadedModel, z_hat: Tensor, y: Tensor, rate_index: int) -> Tensor:
    """Return the means of y, float [B, M, h, w], given its earlier steps; differentiable in z_hat and y.

    z_hat: float [B, H, hz, wz]. rate_index: 0..2560.
    """
    network = float_network(model)
    features = network.h_s_mean(z_hat, rate_point_tensor(rate_index).expand(len(y)))
    masks = step_masks(y.shape[1], *y.shape[2:])
    mu = torch.zeros_like(y)
    known = torch.zeros_like(y)
    for step in range(STEPS):
        mu = torch.where(masks[step], network.context(step, features, known), mu)
        known = torch.where(masks[step], y, known)
    return mu


def sigma_of(scale_index: Tensor) -> Tensor:
    """Return the standard deviations of scale indices, in quantiser steps."""
    return SCALE_MIN * (scale_index * SCALE_LOG_STEP).exp()


def sample(
    count: int,
    *,
    seed: int = 0,
    side: int = SIDE,
    temperature_z: float = 1.0,
    temperature_y: float = 1.0,
    quality: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[NDArray[np.uint8]]:
    """Draw pictures, each uint8 [side, side, 3], from the model's prior at a quality 0..100.

    Picture i depends only on the seed and i. side: pixels, a multiple of 64, at most 512. A temperature T, 0
    to 10, gives probabilities proportional to p^(1/T); 0 takes the most probable symbol. The prior of z is
    spatially stationary, so samples are textures, not scenes. Raises UsageError.
    """
    for name, value in (("temperature_z", temperature_z), ("temperature_y", temperature_y)):
        if not 0 <= value <= 10:
            raise UsageError(f"{name} must be from 0 to 10, not {value!r}", field=name)
    if side % 64 or not 0 < side <= MAX_SIDE:
        raise UsageError(f"side must be a multiple of 64 and at most {MAX_SIDE}, not {side}", field="side")
    if count < 1 or seed < 0:
        raise UsageError("count must be at least 1 and seed at least 0", field="count")
    setting = choose(quality)

    def one(index: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng([seed, index])
        with torch.inference_mode():
            z = draw_z(setting.model, side, setting.rate_index, temperature_z, rng)
            y_hat = draw_y(setting.model, z, setting.rate_index, temperature_y, rng)
            unscaled = float_network(setting.model).unscale_latent(
                y_hat, rate_point_tensor(setting.rate_index)
            )
        return synthesise_whole(setting.model, unscaled[0].numpy(), setting.rate_index, 1)

    return map_ordered(one, range(count), worker_count(threads), progress)


def draw_z(
    model: LoadedModel, side: int, rate_index: int, temperature: float, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Draw the hyper-latents of a square of side x side pixels from their tables: int16 [H, hz, wz]."""
    tables, rate_point, cells = (
        model.coder.tables,
        nearest_rate_point(rate_index),
        side // model.config.z_stride,
    )
    z = np.empty((tables.z_channels, cells, cells), np.int16)
    for channel in range(tables.z_channels):
        pmf = tempered(tables.z_table(rate_point, channel), temperature)
        drawn = rng.choice(pmf.size, (cells, cells), p=pmf)
        z[channel] = drawn + int(tables.z_lo[rate_point, channel])
    return z


def draw_y(
    model: LoadedModel, z: NDArray[np.int16], rate_index: int, temperature: float, rng: np.random.Generator
) -> Tensor:
    """Draw a latent y_hat, float [1, M, h, w], given its hyper-latents."""
    tables = model.coder.tables

    def draw(_mu: Tensor, scale_index: Tensor) -> Tensor:
        return torch.from_numpy(draw_residuals(tables, scale_index.numpy(), temperature, rng))

    return walk(model, z, rate_index, draw).y_hat


def draw_residuals(
    tables: EntropyTables, scale_index: NDArray[np.int64], temperature: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a residual for each scale index, float32 of the shape of `scale_index`; never an escape."""
    r = np.zeros(scale_index.shape, np.float32)
    for value in np.unique(scale_index[scale_index > 0]):
        pmf = tempered(tables.r_table(int(value))[:-1], temperature)
        chosen = scale_index == value
        r[chosen] = rng.choice(pmf.size, int(chosen.sum()), p=pmf) - int(tables.r_half[value])
    return r


def tempered(freq: NDArray[np.uint32], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities of a table's entries at a temperature: float64, of sum 1."""
    log_p = np.log(freq.astype(np.float64))
    if temperature == 0:
        pmf = (log_p == log_p.max()).astype(np.float64)
    else:
        pmf = np.exp((log_p - log_p.max()) / temperature)
    normed: NDArray[np.float64] = pmf / pmf.sum()
    return normed
