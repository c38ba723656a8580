"""The four coding steps: the elements of each, and their packed arrays (FORMAT.md section 7.2).

The elements of a step in planes [M, h, w] are packed as [4, Q, h2, w2]: position 2 dy + dx within a 2x2
square, every fourth channel (Q = ceil(M / 4)), rows and columns of squares (h2 = ceil(h / 2),
w2 = ceil(w / 2)). Entries outside the planes are 0.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 4
# By step: XOR of position (2 * row parity + column parity) and group (channel mod 4). In every channel, the
# first two steps cover one diagonal of each 2x2 square, the last two the other.
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
    """Return, for each step, the flat positions of its elements, ascending and read-only."""
    steps = step_of(channels, height, width).ravel()
    found = tuple(np.flatnonzero(steps == step) for step in range(STEPS))
    for positions in found:
        positions.flags.writeable = False
    return found


def group(step: int, position: int) -> int:
    """Return the group (channel mod 4) of channels that a step codes at a position 0..3."""
    return position ^ ORDER[step]


def channels(count: int, step: int, position: int) -> NDArray[np.intp]:
    """Return the channels, of `count`, that a step codes at a position 0..3, ascending."""
    return np.arange(group(step, position), count, STEPS)


def shape(count: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the shape [4, Q, h2, w2] of a step's packed array for planes [count, height, width]."""
    return STEPS, -(-count // STEPS), -(-height // 2), -(-width // 2)


def _slices(step: int) -> list[tuple[int, tuple[slice, slice, slice]]]:
    return [
        (p, (slice(group(step, p), None, STEPS), slice(p >> 1, None, 2), slice(p & 1, None, 2)))
        for p in range(STEPS)
    ]


def take(planes: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the packed elements, [4, Q, h2, w2], of a step of planes [M, h, w]."""
    size = shape(*planes.shape)
    # Without padding, every step has exactly a quarter of all elements, and zeroing is not needed.
    filled = STEPS * int(np.prod(size)) == planes.size
    found = np.empty(size, planes.dtype) if filled else np.zeros(size, planes.dtype)
    for position, place in _slices(step):
        part = planes[place]
        found[position, : part.shape[0], : part.shape[1], : part.shape[2]] = part
    return found


def put(planes: NDArray[Any], step: int, quarter: NDArray[Any]) -> None:
    """Store the packed elements of a step, [4, Q, h2, w2], in planes [M, h, w]."""
    for position, place in _slices(step):
        part = planes[place]
        part[...] = quarter[position, : part.shape[0], : part.shape[1], : part.shape[2]]
