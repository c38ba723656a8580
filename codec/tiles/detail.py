"""The detail layer of a tile: its transforms, quantisation, and what it adds to the samples.

LAPPED has overlapping blocks of 16x16 pixels, for smooth content. BLOCKS has blocks of 8x8, for lettering and
for pictures that were JPEG files: where the grids agree, their blocks are few coefficients again. Four 8x8
blocks make one cell; their coefficients interleave, so that it has the layout of a 16x16 spectrum. Colours go
through a 3-point DCT.

Everything is orthonormal, so the squared error of the coefficients is that of the samples. The arithmetic is
floating point: no symbol depends on it. See FORMAT.md section 9.5.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.tile_payloads import STEP_CODES
from codec.entropy.detail_coder import Q_MAX, Detail, Step, mean_codes, walk
from codec.entropy.detail_context import COLOURS, POINTS, DetailTables, bands, members
from codec.entropy.tables import TOTAL
from codec.inference.weights import LoadedModel
from codec.model.lapped_filter import BLOCK, HALF, dct2, filter_array

Floats = NDArray[np.float32]

LAPPED, BLOCKS = 0, 1
SMALL = 8


def cells(height: int, width: int) -> tuple[int, int]:
    """Return how many rows and columns of cells, 16 pixels each, cover a tile."""
    return -(-height // BLOCK), -(-width // BLOCK)


def analyse_detail(error: Floats, transform: int) -> Floats:
    """Return the coefficients of a tile's error, float32 [h, w, 3]: float32 [3, 16, 16, rows, columns].

    Axes: frequency across colours, vertical and horizontal frequency, cell. Outside the tile the error is 0.
    transform: LAPPED or BLOCKS.
    """
    height, width = error.shape[:2]
    rows, columns = cells(height, width)
    x: Floats = np.zeros((rows * BLOCK, columns * BLOCK, COLOURS), np.float32)
    x[:height, :width] = error
    x = (x.reshape(-1, COLOURS) @ _dct(COLOURS).T).reshape(x.shape)
    side = BLOCK
    if transform == LAPPED:
        x = _lap(_lap(x, filter_array()).swapaxes(0, 1), filter_array()).swapaxes(0, 1)
    else:
        side = SMALL
    parts = BLOCK // side
    blocks = x.reshape(rows, parts, side, columns, parts, side, COLOURS).transpose(6, 0, 3, 1, 4, 2, 5)
    dct: NDArray[Any] = _dct(side)
    spectra: Floats = (dct @ blocks @ dct.T).transpose(0, 5, 3, 6, 4, 1, 2)
    return np.ascontiguousarray(spectra).reshape(COLOURS, BLOCK, BLOCK, rows, columns)


def synthesise_detail(coefficients: Floats, transform: int, height: int, width: int) -> Floats:
    """Return the error of a tile, float32 [h, w, 3], from its coefficients [3, 16, 16, rows, columns]."""
    rows, columns = coefficients.shape[3:]
    side = BLOCK if transform == LAPPED else SMALL
    parts = BLOCK // side
    spectra = coefficients.reshape(COLOURS, side, parts, side, parts, rows, columns)
    dct: NDArray[Any] = _dct(side)
    blocks: Floats = dct.T @ spectra.transpose(0, 5, 6, 2, 4, 1, 3) @ dct
    x: Floats = blocks.transpose(1, 3, 5, 2, 4, 6, 0).reshape(rows * BLOCK, columns * BLOCK, COLOURS)
    if transform == LAPPED:
        back = filter_array().T
        x = _lap(_lap(x.swapaxes(0, 1), back).swapaxes(0, 1), back)
    found: Floats = (x.reshape(-1, COLOURS) @ _dct(COLOURS)).reshape(x.shape)
    return found[:height, :width]


def _lap(x: Floats, matrix: Floats) -> Floats:
    """Apply a filter [16, 16] across each boundary between blocks, along the first axis."""
    inner = x[HALF:-HALF].reshape(-1, BLOCK, x.shape[1] * COLOURS)
    if not len(inner):
        return x
    x = x.copy()
    x[HALF:-HALF] = (matrix @ inner).reshape(-1, *x.shape[1:])
    return x


@functools.cache
def _dct(n: int) -> Floats:
    return dct2(n).astype(np.float32)


# Steps lie 32 to an octave, from one level of a sample on.
STEPS_PER_OCTAVE = 32
# A coefficient may save bits from this many steps on, and a rare one costs about so many bits.
_LARGE, _RARE_BITS = 1.2, 10.0
# The first guess, by which the stated means are decided, rounds less away than rate and error will.
DEAD_ZONE = 0.65
# Error in squared steps that a bit is worth: 6 dB a bit at uniform quantisation, ln(2) / 6.
BIT_WORTH = math.log(2) / 6


def step_size(code: int) -> float:
    """Return the quantiser step of a code 0..255, in levels of samples."""
    return math.exp2(code / STEPS_PER_OCTAVE)


def step_code(weight: float) -> int:
    """Return the code of the step at which a bit is worth as much error as `weight` says: bits per error."""
    octaves = math.log2(1 / (BIT_WORTH * weight)) / 2
    return min(max(round(STEPS_PER_OCTAVE * octaves), 0), STEP_CODES - 1)


def estimated_saving(coefficients: Floats, step: int) -> float:
    """Return the bits that coding these coefficients seems to save, error included, if it saves any."""
    size = np.abs(coefficients) * np.float32(1 / step_size(step))
    large = size[size > _LARGE]
    return float(np.square(large).sum()) / BIT_WORTH - _RARE_BITS * large.size


def unrepresented(samples: NDArray[np.uint8], starts: tuple[int, ...]) -> Floats:
    """Return coefficients of samples, uint8 [h, w, 3], at high frequencies of 16x16 blocks: float32 [n].

    starts: by colour, the first u + v to return. Blocks do not overlap here; those cut by an edge are left
    out.
    """
    height, width = (side // BLOCK * BLOCK for side in samples.shape[:2])
    channels = [samples[:height, :width, c].astype(np.float32) for c in range(COLOURS)]
    u, v = np.indices((BLOCK, BLOCK))
    found = []
    for weights, start in zip(_dct(COLOURS).tolist(), starts, strict=True):
        plane = sum(weight * channel for weight, channel in zip(weights, channels, strict=True))
        blocks = (
            np.asarray(plane).reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(0, 2, 1, 3)
        )
        # Rows and columns before this one hold no frequency that is wanted.
        first = max(0, start - BLOCK + 1)
        dct = _dct(BLOCK)[first:]
        found.append((dct @ blocks @ dct.T)[:, :, (u + v >= start)[first:, first:]].ravel())
    return np.concatenate(found)


def activity(coefficients: Floats, step: int) -> float:
    """Return a measure that rises with the bits that coefficients take at a step, to compare transforms."""
    return float(np.log1p(np.square(coefficients * np.float32(1 / step_size(step)))).sum())


def quantise_detail(
    tables: DetailTables, coefficients: Floats, transform: int, code: int, bit_worth: float = BIT_WORTH
) -> tuple[Detail, NDArray[np.uint8], float]:
    """Decide the symbols of a tile: return them, their mean codes, and the bits they take about.

    bit_worth: error that a bit is worth, in squared steps; sizes follow it more finely than the step's code.
    """
    exact = np.abs(coefficients) * np.float32(1 / step_size(code))
    rough = np.floor(exact + np.float32(1 - DEAD_ZONE)).clip(max=Q_MAX)
    codes = mean_codes(rough)
    costs, lean = symbol_bits(tables), tables.lean
    bits = 0.0

    def decide(step: Step, scale_index: NDArray[np.uint8]) -> NDArray[np.int32]:
        nonlocal bits
        own = bands()[step.band]
        where = members(step.band, step.parity, *exact.shape[3:])
        size = exact[step.colour, own.u, own.v][where]
        upper = np.rint(size).clip(max=Q_MAX).astype(np.int32)
        best = np.zeros_like(upper)
        paid = costs[scale_index, 0]
        least = size * size + np.float32(bit_worth) * paid
        # Zero is best for most; the others are few.
        rest = np.flatnonzero(upper)
        size, scale_index, upper = size[rest], scale_index[rest], upper[rest]
        for candidate in (np.maximum(upper - 1, 1), upper):
            price = _price(costs, scale_index, candidate)
            error = size - candidate - lean[scale_index, np.minimum(candidate, POINTS) - 1]
            total = error * error + np.float32(bit_worth) * price
            better = np.flatnonzero(total < least[rest])
            at = rest[better]
            least[at], paid[at], best[at] = total[better], price[better], candidate[better]
        bits += float(paid.sum())
        signs: NDArray[np.int32] = np.where(coefficients[step.colour, own.u, own.v][where] < 0, -best, best)
        return signs

    rows, columns = exact.shape[3:]
    return walk(tables, transform, codes, rows, columns, decide), codes, bits


class TileDetail(NamedTuple):
    """The detail layer of a tile: its coefficients, transform (LAPPED or BLOCKS) and step code 0..255."""

    coefficients: Detail
    transform: int
    step: int


def add_detail(
    model: LoadedModel, detail: TileDetail, samples: NDArray[np.uint8], *, gray: bool
) -> NDArray[np.uint8]:
    """Return the decoded samples of a tile, uint8 [h, w, 1 or 3], with its detail layer added.

    gray: True if the picture is; then all channels get the mean of the three.
    """
    if model.detail is None:
        raise TypeError("the model has no detail layer")
    coefficients = dequantise(model.detail.tables, detail.coefficients, detail.step)
    added = synthesise_detail(coefficients, detail.transform, *samples.shape[:2])
    if gray:
        added = added.mean(2, keepdims=True)
    found: NDArray[np.uint8] = np.rint(added + samples).clip(0, 255).astype(np.uint8)
    return found


def dequantise(tables: DetailTables, detail: Detail, code: int) -> Floats:
    """Return coefficients as float32 [3, 16, 16, rows, columns]."""
    found = detail.q.astype(np.float32)
    where = np.nonzero(detail.q)
    values = detail.q[where].astype(np.int32)
    lean = tables.lean[detail.scale_index[where], np.minimum(np.abs(values), POINTS) - 1]
    found[where] += np.where(values < 0, -lean, lean)
    found *= np.float32(step_size(code))
    return found


@functools.lru_cache(maxsize=4)
def symbol_bits(tables: DetailTables) -> Floats:
    """Return the bits of magnitudes 0, 1, ... at each scale_index, sign included: float32 [64, most + 2].

    The last column that a scale_index fills is an escape's, without what follows it.
    """
    most = int(tables.half.max())
    found = np.zeros((len(tables.half), most + 2), np.float32)
    for scale_index in range(1, len(tables.half)):
        half, freq = int(tables.half[scale_index]), tables.entropy.r_table(scale_index)
        found[scale_index] = math.log2(TOTAL / int(freq[-1]))
        found[scale_index, : half + 1] = np.log2(TOTAL / freq[half:-1])
    return found


def _price(costs: Floats, scale_index: NDArray[np.uint8], size: NDArray[np.int32]) -> Floats:
    """Return the bits of magnitudes above 0, escapes with about what follows them."""
    last = costs.shape[1] - 1
    price: Floats = costs[scale_index, np.minimum(size, last)]
    # Exact for the widest scale_indices alone; narrower ones leave their tables rarely.
    beyond = np.flatnonzero(size >= last)
    price[beyond] += np.float32(5) + np.log2(size[beyond] - last + 1).astype(np.float32)
    return price
