"""Choose each residual by its bits and its error in the picture.

The linear path of g_s carries nearly all energy, and everything after it is orthonormal or nearly so. The
error of one residual therefore has the energy of its channel's column of weights, at every position. For most
channels this is within 5 % of the energy of the true Jacobian of g_s, probed at random.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.rate_index import MAX_RATE_INDEX, SCALE_COUNT, STEP_UNITS
from codec.entropy import coder, steps
from codec.entropy.tables import PRECISION, EntropyTables
from codec.inference.scale_network import factors
from codec.inference.weights import LoadedModel
from codec.model.config import COLOURS

Floats = NDArray[np.float32]

# The training loss includes a structural term, so the slope of the networks differs from the nominal lmbda.
# Measured ratio of the two at the first and the last rate index (benchmarks/training/slope.py).
SLOPE_FIRST, SLOPE_LAST = 1.11, 0.97
# Weight of a residual's own bits in its cost. Of 0.5 to 1.0, 0.8 is best (measured); trying several per tile
# gains nothing.
OWN_SHARE = 0.8
# A value of smaller magnitude becomes 0 without comparing costs.
_LEAST = 0.3


def ideal_bits(
    tables: EntropyTables, z: NDArray[Any], r: NDArray[Any], scale_index: NDArray[np.uint8], rate_point: int
) -> float:
    """Return the sum of -log2 of the table probabilities of all symbols of a tile, escapes included.

    Shapes and ranges as for TileCoder.encode, whose output exceeds this by a few bytes per tile.
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
        n, _ = coder.escape_codes(left, np.full(left.size, half, dtype=np.int32))
        bits += float(coder.LENGTH_BITS * left.size + int(n.sum()))
    return bits


def _cost(freq: NDArray[np.uint32], symbols: NDArray[Any]) -> float:
    counts = np.bincount(symbols, minlength=freq.size)
    return float(np.dot(counts, PRECISION - np.log2(freq.astype(np.float64))))


@functools.lru_cache(maxsize=4)
def bits_by_magnitude(tables: EntropyTables) -> NDArray[np.float32]:
    """Return the bits of residuals by scale index and magnitude, float32 [64, longest + 2].

    Beyond the end of a table the bits continue along its last slope. Scale index 0, which codes only zeros,
    gets the bits of index 1, the nearest table.
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


def error_weight(model: LoadedModel, rate_index: int) -> float:
    """Return the bits equivalent to a squared error of one level in one channel; rate_index: 0 and above."""
    slope = SLOPE_FIRST + (SLOPE_LAST - SLOPE_FIRST) * min(rate_index, MAX_RATE_INDEX) / MAX_RATE_INDEX
    return slope * model.config.lmbda(rate_index / STEP_UNITS) / COLOURS


def step_bits(model: LoadedModel, rate_index: int) -> NDArray[np.float32]:
    """Return the bits equivalent to an error of one quantiser step, for each latent channel: float32 [M]."""
    linear = model.arrays["g_s.linear.weight"][:, :, 0, 0]
    unpatch = model.arrays["g_s.unpatch.weight"][:, :, 0, 0]
    columns = np.einsum("oc,cpm->opm", unpatch, linear.reshape(len(unpatch), 4, -1), optimize=True)
    energy = np.square(columns).sum((0, 1)) * np.square(factors(model.arrays["inverse_gain"], rate_index))
    return np.asarray(255**2 * error_weight(model, rate_index) * energy, np.float32)


class RateDistortionDecision:
    """Choose each residual of one tile from 0 and the two integers around y - mu; usable as `Decide`.

    step_bits: bits equivalent to an error of one quantiser step, float32 [M, h, w]. own_share: weight of a
    residual's bits; the rest of them is assumed to be saved by later residuals, for which it is context.
    """

    def __init__(
        self,
        model: LoadedModel,
        step_bits: Floats,
        own_share: float,
    ) -> None:
        self._bits = own_share * bits_by_magnitude(model.coder.tables)
        self._lean = model.arrays["lean"]
        self._step_bits = step_bits

    def __call__(self, step: int, exact: Floats, scale_index: NDArray[np.uint8]) -> Floats:
        """Return r, integers as float32, of a step. exact: y - mu; it and scale_index are [4, Q, h2, w2]."""
        r = np.zeros_like(exact)
        where = np.nonzero((np.abs(exact) > _LEAST) & (scale_index > 0))
        e = exact[where]
        r[where] = self._choose(e, scale_index[where], steps.take(self._step_bits, step)[where])
        return r

    def _choose(self, e: Floats, scale_index: NDArray[np.uint8], weight: Floats) -> Floats:
        size = np.abs(e)
        lean, last = self._lean[scale_index], self._bits.shape[1] - 1
        best = self._bits[scale_index, 0] + weight * size**2
        chosen = np.zeros_like(size)
        low = np.maximum(np.floor(size), 1)
        for candidate in (low, low + 1):
            bits = self._bits[scale_index, np.minimum(candidate, last).astype(np.int64)]
            cost = bits + weight * (size - candidate - lean) ** 2
            better = cost < best
            best, chosen = np.where(better, cost, best), np.where(better, candidate, chosen)
        return np.asarray(np.copysign(chosen, e))
