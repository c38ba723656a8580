"""The four coding steps: at each 2x2 position another quarter of the channels (FORMAT.md section 7.2)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 4
# XOR of position (2 * row parity + column parity) and group (channel mod 4), by step: diagonals before sides.
ORDER = (0, 3, 2, 1)


@functools.lru_cache(maxsize=8)
def step_of(channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return the step that codes each element: uint8 [channels, height, width] in 0..3, read-only."""
    group = (np.arange(channels) % STEPS)[:, None, None]
    position = 2 * (np.arange(height) % 2)[:, None] + np.arange(width) % 2
    steps: NDArray[np.uint8] = np.argsort(ORDER).astype(np.uint8)[group ^ position]
    steps.flags.writeable = False
    return steps


@functools.lru_cache(maxsize=8)
def step_positions(channels: int, height: int, width: int) -> tuple[NDArray[np.intp], ...]:
    """Return the flat positions of each step's elements, rising and read-only; together they are all."""
    steps = step_of(channels, height, width).ravel()
    found = tuple(np.flatnonzero(steps == step) for step in range(STEPS))
    for positions in found:
        positions.flags.writeable = False
    return found
