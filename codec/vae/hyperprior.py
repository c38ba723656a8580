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

from codec.model.config import SCALE_LOG_STEP, SCALE_MIN
from codec.model.quadtree import STEPS, step_masks
from codec.model.quantiser import reconstruct
from codec.model.weights import LoadedModel
from codec.runtime.latents import rate_tensor

# mu, scale level: float and int64 [1, M, h, w] -> residual of that shape; only the step's elements count.
Choice = Callable[[Tensor, Tensor], Tensor]


class Walked(NamedTuple):
    """A latent, element by element [1, M, h, w]: y_hat and residual r, float; level, int64 in 0..63."""

    y_hat: Tensor
    r: Tensor
    level: Tensor


def scale_levels(model: LoadedModel, z: NDArray[np.int16], quality: int) -> Tensor:
    """Scale levels of a tile, int64 [1, M, h, w], from its hyper-latents; quality 0..1792."""
    return torch.from_numpy(model.scale.scale_index(z, quality).astype(np.int64))[None]


def walk(model: LoadedModel, z: NDArray[np.int16], quality: int, choose: Choice) -> Walked:
    """Go through a tile's latent in coding order, from its hyper-latents int16 [H, hz, wz] on."""
    level = scale_levels(model, z, quality)
    features = model.network.h_s_mean(torch.from_numpy(z.astype(np.float32))[None], rate_tensor(quality))
    lean = model.network.lean_at(level)
    masks = step_masks(level.shape[1], *level.shape[2:])
    y_hat = torch.zeros(level.shape)
    residual = torch.zeros(level.shape)
    for step in range(STEPS):
        mu = model.network.context(step, features, y_hat)
        r = torch.where(masks[step] & (level > 0), choose(mu, level), 0.0)
        residual = residual + r
        y_hat = torch.where(masks[step], mu + reconstruct(r, lean), y_hat)
    return Walked(y_hat, residual, level)


def means(model: LoadedModel, z_hat: Tensor, y: Tensor, quality: int) -> Tensor:
    """Predict every element of y, float [B, M, h, w], from those before it; differentiable in z_hat and y."""
    network = model.network
    features = network.h_s_mean(z_hat, rate_tensor(quality).expand(len(y)))
    masks = step_masks(y.shape[1], *y.shape[2:])
    mu = torch.zeros_like(y)
    known = torch.zeros_like(y)
    for step in range(STEPS):
        mu = torch.where(masks[step], network.context(step, features, known), mu)
        known = torch.where(masks[step], y, known)
    return mu


def sigma_of(level: Tensor) -> Tensor:
    """Standard deviations that scale levels stand for, in quantiser steps."""
    return SCALE_MIN * (level * SCALE_LOG_STEP).exp()
