"""The four coding steps: at each 2x2 position another quarter of the channels (FORMAT.md, "Pictures")."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 4
# XOR of position (2 * row parity + column parity) and group (channel mod 4), by step: diagonals before sides.
ORDER = (0, 3, 2, 1)


def step_masks(channels: int, height: int, width: int) -> Tensor:
    """Return which elements each step codes, bool [4, channels, height, width]; each belongs to one step."""
    group = (torch.arange(channels) % STEPS)[:, None, None]
    row = (torch.arange(height) % 2)[:, None]
    column = torch.arange(width) % 2
    key = group ^ (2 * row + column)[None]
    return torch.stack([key == order for order in ORDER])
