"""What a residual costs by the stored tables, by scale level and magnitude."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from codec.entropy.tables import LEVELS, PRECISION, EntropyTables


@functools.lru_cache(maxsize=4)
def bits_by_magnitude(tables: EntropyTables) -> NDArray[np.float32]:
    """Bits by level and magnitude, float32 [64, longest + 2], going on as they end beyond each table.

    Level 0 codes nothing but zeros; it is given the bits of level 1, the gentlest curve there is.
    """
    longest = int(tables.r_half.max())
    curve = np.zeros((LEVELS, longest + 2), np.float32)
    for level in range(1, LEVELS):
        half = int(tables.r_half[level])
        bits = PRECISION - np.log2(tables.r_table(level)[half : 2 * half + 1].astype(np.float64))
        beyond = np.arange(1, longest + 2 - half)
        curve[level] = np.concatenate([bits, bits[-1] + (bits[-1] - bits[-2]) * beyond])
    curve[0] = curve[1]
    curve.flags.writeable = False
    return curve
