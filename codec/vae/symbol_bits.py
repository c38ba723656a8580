"""What every symbol costs by the stored tables: -log2 of its probability, element by element."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.entropy import escapes
from codec.entropy.tables import LEVELS, PRECISION, EntropyTables
from codec.runtime.latents import TileSymbols


class _Costs(NamedTuple):
    """Bits of |r| by level, float64 [64, longest], and of the escape of each level, float64 [64]."""

    inside: NDArray[np.float64]
    escape: NDArray[np.float64]


@functools.lru_cache(maxsize=4)
def _costs(tables: EntropyTables) -> _Costs:
    inside = np.zeros((LEVELS, int(tables.r_half.max()) + 1))
    escape = np.zeros(LEVELS)
    for level in range(1, LEVELS):
        bits = PRECISION - np.log2(tables.r_table(level).astype(np.float64))
        half = int(tables.r_half[level])
        # Both signs of a value cost the same but for the rounding of the table.
        inside[level, : half + 1] = (bits[half : 2 * half + 1] + bits[half::-1]) / 2
        escape[level] = bits[-1]
    return _Costs(inside, escape)


def residual_bits(
    tables: EntropyTables, r: NDArray[np.int16], scale_index: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Bits of each residual, float64 of the shape of r and scale_index; escapes included, level 0 free."""
    costs = _costs(tables)
    level, magnitude = scale_index.astype(np.int64), np.abs(r.astype(np.int32))
    half = tables.r_half[level]
    outside = (magnitude > half) & (level > 0)
    bits = costs.inside[level, np.minimum(magnitude, half)]
    if outside.any():
        n, _ = escapes.lengths(r[outside].astype(np.int32), half[outside])
        bits[outside] = costs.escape[level[outside]] + escapes.LENGTH_BITS + n
    return bits


def hyper_bits(tables: EntropyTables, z: NDArray[np.int16], band: int) -> NDArray[np.float64]:
    """Bits of each hyper-latent, float64 of the shape of z, [H, hz, wz], in one of the rate bands 0..10."""
    bits = np.empty(z.shape)
    for channel in range(tables.z_channels):
        cost = PRECISION - np.log2(tables.z_table(band, channel).astype(np.float64))
        bits[channel] = cost[z[channel].astype(np.int64) - int(tables.z_lo[band, channel])]
    return bits


def cell_bits(
    tables: EntropyTables, symbols: TileSymbols, band: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bits of z and of y in each latent position of a tile, both float64 [h, w].

    A hyper-latent that covers several positions is shared out evenly.
    """
    bits_y = residual_bits(tables, symbols.r, symbols.scale_index).sum(0)
    bits_z = hyper_bits(tables, symbols.z, band).sum(0)
    factor = bits_y.shape[0] // bits_z.shape[0]
    return np.kron(bits_z, np.full((factor, factor), factor**-2)), bits_y
