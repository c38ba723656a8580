"""What every symbol costs by the stored tables: -log2 of its probability, element by element."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.quality import SCALE_COUNT
from codec.entropy import escapes
from codec.entropy.tables import PRECISION, EntropyTables
from codec.runtime.latents import TileSymbols


class _Costs(NamedTuple):
    """Bits of |r| by scale index, float64 [64, longest], and of the escape of each index, float64 [64]."""

    inside: NDArray[np.float64]
    escape: NDArray[np.float64]


@functools.lru_cache(maxsize=4)
def _costs(tables: EntropyTables) -> _Costs:
    inside = np.zeros((SCALE_COUNT, int(tables.r_half.max()) + 1))
    escape = np.zeros(SCALE_COUNT)
    for index in range(1, SCALE_COUNT):
        bits = PRECISION - np.log2(tables.r_table(index).astype(np.float64))
        half = int(tables.r_half[index])
        # Both signs of a value cost the same but for the rounding of the table.
        inside[index, : half + 1] = (bits[half : 2 * half + 1] + bits[half::-1]) / 2
        escape[index] = bits[-1]
    return _Costs(inside, escape)


def residual_bits(
    tables: EntropyTables, r: NDArray[np.int16], scale_index: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Bits of each residual, float64 of the shape of r and scale_index; escapes included, index 0 free."""
    costs = _costs(tables)
    index, magnitude = scale_index.astype(np.int64), np.abs(r.astype(np.int32))
    half = tables.r_half[index]
    outside = (magnitude > half) & (index > 0)
    bits = costs.inside[index, np.minimum(magnitude, half)]
    if outside.any():
        n, _ = escapes.lengths(r[outside].astype(np.int32), half[outside])
        bits[outside] = costs.escape[index[outside]] + escapes.LENGTH_BITS + n
    return bits


def hyper_bits(tables: EntropyTables, z: NDArray[np.int16], rate_point: int) -> NDArray[np.float64]:
    """Bits of each hyper-latent, float64 of the shape of z, [H, hz, wz], at a rate point 0..10."""
    bits = np.empty(z.shape)
    for channel in range(tables.z_channels):
        cost = PRECISION - np.log2(tables.z_table(rate_point, channel).astype(np.float64))
        bits[channel] = cost[z[channel].astype(np.int64) - int(tables.z_lo[rate_point, channel])]
    return bits


def cell_bits(
    tables: EntropyTables, symbols: TileSymbols, rate_point: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bits of z and of y in each latent position of a tile, both float64 [h, w].

    A hyper-latent that covers several positions is shared out evenly.
    """
    bits_y = residual_bits(tables, symbols.r, symbols.scale_index).sum(0)
    bits_z = hyper_bits(tables, symbols.z, rate_point).sum(0)
    factor = bits_y.shape[0] // bits_z.shape[0]
    return np.kron(bits_z, np.full((factor, factor), factor**-2)), bits_y
