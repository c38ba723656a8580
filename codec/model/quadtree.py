"""The four coding steps as masks for the networks (FORMAT.md section 7.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from codec.entropy.steps import STEPS, step_of


def step_masks(channels: int, height: int, width: int) -> Tensor:
    """Return which elements each step codes, bool [4, channels, height, width]; each belongs to one step."""
    step = torch.from_numpy(step_of(channels, height, width).copy())
    return torch.stack([step == k for k in range(STEPS)])
