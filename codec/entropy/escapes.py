"""Escaped residuals as bounded Exp-Golomb numbers (FORMAT.md section 7.3), without a loop per symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from codec.entropy.tables import R_MAX
from codec.errors import CorruptPayload

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LENGTH_BITS = 4
MAX_LENGTH = (1 << LENGTH_BITS) - 1

_POWERS = np.left_shift(1, np.arange(MAX_LENGTH + 1, dtype=np.int32))


def lengths(r: NDArray[np.int32], half: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Map escaped residuals to (n, e + 1): the length and the value of their Exp-Golomb numbers.

    r, half: int32 [count] with half < abs(r) <= 32767. n lies in 0..15 and 2**n <= e + 1 < 2**(n + 1).
    """
    value = 2 * (np.abs(r) - half - 1) + (r < 0) + 1
    n = np.searchsorted(_POWERS, value, side="right") - 1
    return n.astype(np.int32), value.astype(np.int32)


def write(
    r: NDArray[np.int32], half: NDArray[np.int32], put: Callable[[NDArray[np.int32], int], None]
) -> None:
    """Write escaped residuals by calls put(values int32, bits), each value uniform over 2**bits."""
    n, value = lengths(r, half)
    put(n, LENGTH_BITS)
    for bits in range(1, MAX_LENGTH + 1):
        chosen = value[n == bits]
        if chosen.size:
            put(chosen - (1 << bits), bits)


def read(half: NDArray[np.int32], get: Callable[[int, int], NDArray[np.int32]]) -> NDArray[np.int32]:
    """Read the residuals of all escapes by calls get(count, bits) -> int32 [count].

    half: int32 [count], the half-width of the table that each escape left.
    Raises CorruptPayload for a residual outside -32767..32767.
    """
    n = get(half.size, LENGTH_BITS)
    value = np.ones(half.size, dtype=np.int32)
    for bits in range(1, MAX_LENGTH + 1):
        where = np.flatnonzero(n == bits)
        if where.size:
            value[where] = get(where.size, bits) + (1 << bits)
    e = value - 1
    magnitude = (e >> 1) + half + 1
    if magnitude.size and int(magnitude.max()) > R_MAX:
        msg = f"tile words: residual of magnitude {int(magnitude.max())}, at most {R_MAX} is allowed"
        raise CorruptPayload(msg + "; the file is damaged", field="words")
    return np.where(e & 1, -magnitude, magnitude).astype(np.int32)
