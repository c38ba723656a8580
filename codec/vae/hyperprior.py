"""p(y | z) step by step: the one place here that knows how scales and means come about.

What is done with a step's prediction is the caller's: residuals are rounded, drawn, or left as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.entropy.steps import STEPS
from codec.entropy.tables import R_MAX
from codec.model.config import SCALE_LOG_STEP, SCALE_MIN
from codec.model.quadtree import step_masks
from codec.model.quantiser import reconstruct
from codec.model.rates import rate_point_tensor
from codec.model.weights import LoadedModel

# mu, scale index: float and int64 [1, M, h, w] -> residual of that shape; only the step's elements count.
Choice = Callable[[Tensor, Tensor], Tensor]


class Walked(NamedTuple):
    """A latent, element by element [1, M, h, w]: y_hat and residual r, float; scale_index, int64 in 0..63."""

    y_hat: Tensor
    r: Tensor
    scale_index: Tensor


def scale_indices(model: LoadedModel, z: NDArray[np.int16], r: Tensor, rate_index: int) -> Tensor:
    """Scale indices of a tile, int64 [1, M, h, w]; rate_index 0..2560.

    z: hyper-latents int16 [H, hz, wz]. r: all residuals, float [1, M, h, w]; the nearest integers count.
    """
    return torch.from_numpy(model.scale.scale_indices(z, _integers(r), rate_index).astype(np.int64))[None]


def _integers(r: Tensor) -> NDArray[np.int16]:
    whole: NDArray[np.int16] = r[0].detach().round().clamp(-R_MAX, R_MAX).numpy().astype(np.int16)
    return whole


def walk(model: LoadedModel, z: NDArray[np.int16], rate_index: int, choose: Choice) -> Walked:
    """Go through a tile's latent in coding order, from its hyper-latents int16 [H, hz, wz] on."""
    start = model.scale.start(z)
    features = model.network.h_s_mean(
        torch.from_numpy(z.astype(np.float32))[None], rate_point_tensor(rate_index)
    )
    masks = step_masks(*start.shape)
    y_hat = torch.zeros(1, *start.shape)
    residual = torch.zeros_like(y_hat)
    scale_indices = torch.zeros_like(y_hat, dtype=torch.int64)
    for step in range(STEPS):
        index = model.scale.scale_index(step, start, _integers(residual), rate_index)
        scale_index = torch.from_numpy(index.astype(np.int64))[None]
        mu = model.network.context(step, features, y_hat)
        r = torch.where(masks[step] & (scale_index > 0), choose(mu, scale_index), 0.0)
        residual = residual + r
        scale_indices = torch.where(masks[step], scale_index, scale_indices)
        y_hat = torch.where(masks[step], mu + reconstruct(r, model.network.lean_at(scale_index)), y_hat)
    return Walked(y_hat, residual, scale_indices)


def means(model: LoadedModel, z_hat: Tensor, y: Tensor, rate_index: int) -> Tensor:
    """Predict every element of y, float [B, M, h, w], from those before it; differentiable in z_hat and y."""
    network = model.network
    features = network.h_s_mean(z_hat, rate_point_tensor(rate_index).expand(len(y)))
    masks = step_masks(y.shape[1], *y.shape[2:])
    mu = torch.zeros_like(y)
    known = torch.zeros_like(y)
    for step in range(STEPS):
        mu = torch.where(masks[step], network.context(step, features, known), mu)
        known = torch.where(masks[step], y, known)
    return mu


def sigma_of(scale_index: Tensor) -> Tensor:
    """Standard deviations that scale indices stand for, in quantiser steps."""
    return SCALE_MIN * (scale_index * SCALE_LOG_STEP).exp()
