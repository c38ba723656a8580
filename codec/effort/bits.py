"""What a residual costs by the stored tables, by scale index and magnitude."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.quality import SCALE_COUNT
from codec.entropy.tables import PRECISION, EntropyTables


@functools.lru_cache(maxsize=4)
def bits_by_magnitude(tables: EntropyTables) -> NDArray[np.float32]:
    """Bits by scale index and magnitude, float32 [64, longest + 2], going on as they end beyond each table.

    Index 0 codes nothing but zeros; it is given the bits of index 1, the gentlest curve there is.
    """
    longest = int(tables.r_half.max())
    curve = np.zeros((SCALE_COUNT, longest + 2), np.float32)
    for index in range(1, SCALE_COUNT):
        half = int(tables.r_half[index])
        bits = PRECISION - np.log2(tables.r_table(index)[half : 2 * half + 1].astype(np.float64))
        beyond = np.arange(1, longest + 2 - half)
        curve[index] = np.concatenate([bits, bits[-1] + (bits[-1] - bits[-2]) * beyond])
    curve[0] = curve[1]
    curve.flags.writeable = False
    return curve
