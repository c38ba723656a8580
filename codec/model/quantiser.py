"""The quantiser of y: rounding with a dead zone, and reconstruction points that lean towards the mean."""

from __future__ import annotations

import torch
from torch import Tensor

from . import factors


def dead_zone() -> Tensor:
    """Return the smallest |y - mu| that becomes 1, by scale index, float [64]; see factors.dead_zone."""
    return torch.from_numpy(factors.dead_zone())


def quantise(residual: Tensor, threshold: Tensor) -> Tensor:
    """Round y - mu to integers, to 0 below the threshold; both float of one shape."""
    rounded = residual.round()
    return torch.where(residual.abs() < threshold, torch.zeros_like(rounded), rounded)


def reconstruct(r: Tensor, lean: Tensor) -> Tensor:
    """Reconstruction points r + sign(r) * lean (FORMAT.md, "Means"): r and lean are float of one shape."""
    return r + r.sign() * lean
