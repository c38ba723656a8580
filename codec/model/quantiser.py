"""The quantiser of y: rounding with a dead zone, and reconstruction points that lean towards the mean."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import SCALE_LEVELS

# Where a level's symbols are nearly all zero, a one costs more bits than the error it saves. This is the
# encoder's choice, decoders never see it; training with it lets the networks expect it.
DEAD_ZONE_MAX = 0.65
DEAD_ZONE_FULL, DEAD_ZONE_NONE = 8, 16


def dead_zone() -> Tensor:
    """Return the smallest |y - mu| that becomes 1, by scale level: float [64], 0.65 up to 8, 0.5 from 16."""
    level = torch.arange(SCALE_LEVELS, dtype=torch.float32)
    share = ((DEAD_ZONE_NONE - level) / (DEAD_ZONE_NONE - DEAD_ZONE_FULL)).clamp(0, 1)
    return 0.5 + (DEAD_ZONE_MAX - 0.5) * share


def quantise(residual: Tensor, threshold: Tensor) -> Tensor:
    """Round y - mu to integers, to 0 below the threshold; both float of one shape."""
    rounded = residual.round()
    return torch.where(residual.abs() < threshold, torch.zeros_like(rounded), rounded)


def reconstruct(r: Tensor, lean: Tensor) -> Tensor:
    """Reconstruction points r + sign(r) * lean (FORMAT.md, "Means"): r and lean are float of one shape."""
    return r + r.sign() * lean
