"""Latents as the elements of the four coding steps, one step after another, in tensors: [4, 4, Q, n].

As codec.entropy.quarters has them, the 2x2 squares in one dimension.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.entropy import quarters
from codec.entropy.steps import STEPS


def split(planes: NDArray[Any]) -> Tensor:
    """Take apart planes [M, h, w]."""
    parts = np.stack([quarters.take(planes, step) for step in range(STEPS)])
    return torch.from_numpy(parts.reshape(*parts.shape[:3], -1))


def join(parts: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Put planes [M, h, w] together again, as a tensor that gradients pass through."""
    channels, height, width = shape
    h2, w2 = -(-height // 2), -(-width // 2)
    order = [[_step_of(c, p) for p in range(STEPS)] for c in range(STEPS)]
    planes = torch.stack([parts[order[c][p], p] for c in range(STEPS) for p in range(STEPS)])
    # Channel mod 4, row and column of the 2x2, the rest of the channel, the square's row and column.
    spread = planes.reshape(STEPS, 2, 2, -1, h2, w2).permute(3, 0, 4, 1, 5, 2)
    return spread.reshape(-1, 2 * h2, 2 * w2)[:channels, :height, :width]


def _step_of(channel: int, position: int) -> int:
    return next(step for step in range(STEPS) if quarters.group(step, position) == channel)
