"""One coding step's elements side by side: at each position of every 2x2 its own quarter of the channels.

An array of a step is [4, Q, h2, w2]: position 2 dy + dx of each 2x2, every fourth channel (Q = ceil(M / 4)),
and the 2x2 squares. Where h, w or M leave some of it over, that is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .steps import ORDER, STEPS


def group(step: int, position: int) -> int:
    """Return which channels, by channel mod 4, a step codes at a position 0..3."""
    return position ^ ORDER[step]


def channels(count: int, step: int, position: int) -> NDArray[np.intp]:
    """Return the channels that a step codes at a position, rising."""
    return np.arange(group(step, position), count, STEPS)


def shape(count: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the shape of a step's array of planes [count, height, width]."""
    return STEPS, -(-count // STEPS), -(-height // 2), -(-width // 2)


def _places(step: int) -> list[tuple[int, tuple[slice, slice, slice]]]:
    return [
        (p, (slice(group(step, p), None, STEPS), slice(p >> 1, None, 2), slice(p & 1, None, 2)))
        for p in range(STEPS)
    ]


def take(planes: NDArray[Any], step: int) -> NDArray[Any]:
    """Return a step's elements of planes [M, h, w]."""
    size = shape(*planes.shape)
    # Of all elements a quarter each.
    filled = STEPS * int(np.prod(size)) == planes.size
    found = np.empty(size, planes.dtype) if filled else np.zeros(size, planes.dtype)
    for position, place in _places(step):
        part = planes[place]
        found[position, : part.shape[0], : part.shape[1], : part.shape[2]] = part
    return found


def put(planes: NDArray[Any], step: int, quarter: NDArray[Any]) -> None:
    """Store a step's elements in planes [M, h, w]."""
    for position, place in _places(step):
        part = planes[place]
        part[...] = quarter[position, : part.shape[0], : part.shape[1], : part.shape[2]]
