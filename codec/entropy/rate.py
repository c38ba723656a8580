"""What the tables say a tile costs, to hold the coder to account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from codec.bitstream.quality import SCALE_COUNT
from codec.entropy import escapes
from codec.entropy.tables import PRECISION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codec.entropy.tables import EntropyTables


def ideal_bits(
    tables: EntropyTables, z: NDArray[Any], r: NDArray[Any], scale_index: NDArray[np.uint8], rate_point: int
) -> float:
    """Return the total of -log2 of the table probabilities of all symbols of a tile, escapes included.

    Shapes and ranges as in TileCoder.encode. The coder's output exceeds this by a few bytes per tile.
    """
    bits = 0.0
    for channel in range(tables.z_channels):
        symbols = z[channel].ravel().astype(np.int64) - int(tables.z_lo[rate_point, channel])
        bits += _cost(tables.z_table(rate_point, channel), symbols)
    for index in range(1, SCALE_COUNT):
        values = r[scale_index == index].astype(np.int32)
        if values.size == 0:
            continue
        half = int(tables.r_half[index])
        inside = np.abs(values) <= half
        bits += _cost(tables.r_table(index), np.where(inside, values + half, 2 * half + 1))
        left = values[~inside]
        n, _ = escapes.lengths(left, np.full(left.size, half, dtype=np.int32))
        bits += float(escapes.LENGTH_BITS * left.size + int(n.sum()))
    return bits


def _cost(freq: NDArray[np.uint32], symbols: NDArray[Any]) -> float:
    counts = np.bincount(symbols, minlength=freq.size)
    return float(np.dot(counts, PRECISION - np.log2(freq.astype(np.float64))))
