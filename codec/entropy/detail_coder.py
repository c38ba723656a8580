"""Code the coefficients of a tile's detail layer: integers <-> range coder words (FORMAT.md section 7.5)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from codec.entropy.coder import WordsDecoder, encode_residuals, symbol_crc
from codec.entropy.detail_context import (
    BANDS,
    COLOURS,
    MEAN_MAX,
    PARITIES,
    SIDE,
    Context,
    DetailTables,
    Integers,
    bands,
    mean_code,
    mean_value,
    members,
)
from codec.entropy.range_coder import BEST, RangeCoder, TableModels
from codec.errors import CorruptPayload, UsageError

CODE_BITS = 6
Q_MAX = 32767
MEANS = COLOURS * BANDS


class Step(NamedTuple):
    """One coding step: its colour, band and parity."""

    colour: int
    band: int
    parity: int


# Step, and the scale_indices 1..63 of its coefficients [n] in coding order -> those coefficients, [n].
Symbols: TypeAlias = Callable[[Step, NDArray[np.uint8]], NDArray[Any]]


class Detail(NamedTuple):
    """Coefficients of a tile, int16 [3, 16, 16, rows, columns], and their scale indices, 0 if not coded."""

    q: NDArray[np.int16]
    scale_index: NDArray[np.uint8]


class DetailCoder:
    """Codes the detail of tiles with one model's tables. Safe to share between threads."""

    def __init__(self, tables: DetailTables, range_coder: RangeCoder = BEST) -> None:
        self.tables = tables
        self._models = TableModels(tables.entropy, range_coder)

    def encode(self, q: NDArray[Any], transform: int, codes: NDArray[np.uint8] | None = None) -> bytes:
        """Return the words of coefficients q, integers [3, 16, 16, rows, columns] in -32767..32767.

        transform: 0 or 1. codes: the mean codes that the coefficients were decided with, uint8 [3, 8]; by
        default those that fit best. Where a code is 0, the coefficients must be 0.
        """
        codes = mean_codes(q) if codes is None else codes
        encoder = self._models.range_coder.encoder()
        encoder.encode(codes.reshape(-1).astype(np.int32), self._models.uniform(CODE_BITS))

        def symbols(step: Step, scale_indices: NDArray[np.uint8]) -> NDArray[Any]:
            own = bands()[step.band]
            found: NDArray[Any] = q[step.colour, own.u, own.v][members(step.band, step.parity, *q.shape[3:])]
            encode_residuals(self._models, encoder, found, scale_indices)
            return found

        rows, columns = q.shape[3:]
        coded, _ = walk(self.tables, transform, codes, rows, columns, symbols)
        if not np.array_equal(coded, q):
            raise UsageError("detail: coefficients must be 0 where the mean code is 0", field="codes")
        words = np.trim_zeros(encoder.get_compressed(), "b")
        return bytes(words.astype("<u4").tobytes())

    def decode(self, words: bytes | memoryview, transform: int, rows: int, columns: int) -> Detail:
        """Return the coefficients of a tile of so many cells.

        Raises CorruptPayload for words that no encoder writes.
        """
        decoder = WordsDecoder(self._models, words)
        stated = decoder.uniform(MEANS, CODE_BITS)
        if int(stated.max()) > MEAN_MAX:
            raise CorruptPayload("detail: a mean code is out of range; the file is damaged", field="words")
        codes = stated.astype(np.uint8).reshape(COLOURS, BANDS)
        found = walk(
            self.tables,
            transform,
            codes,
            rows,
            columns,
            lambda _, scale_indices: decoder.residuals(scale_indices),
        )
        decoder.finish()
        return found


def walk(
    tables: DetailTables,
    transform: int,
    codes: NDArray[np.uint8],
    rows: int,
    columns: int,
    symbols: Symbols,
) -> Detail:
    """Go through the coding steps, ask for the symbols of each, and return them all."""
    context = Context(rows, columns)
    q = np.zeros((COLOURS, SIDE, SIDE, rows, columns), np.int16)
    scale_index = np.zeros(q.shape, np.uint8)
    for step, code in steps(codes):
        own, mine = bands()[step.band], members(step.band, step.parity, rows, columns)
        scale_indices = scale_indices_of(expected(tables, transform, context, step, code)[mine])
        part = np.zeros(mine.shape, np.int16)
        part[mine] = symbols(step, scale_indices)
        q[step.colour, own.u, own.v] += part
        # Planes first: a mask on indexed planes would write into a copy.
        planes = scale_index[step.colour, own.u, own.v]
        planes[mine] = scale_indices
        scale_index[step.colour, own.u, own.v] = planes
        context.tell(*step, np.abs(part.astype(np.int32)))
    return Detail(q, scale_index)


def mean_codes(q: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the codes, uint8 [3, 8], of the mean magnitudes of q by colour and band; 0 for none at all."""
    codes = np.zeros((COLOURS, BANDS), np.uint8)
    for colour in range(COLOURS):
        for band, own in enumerate(bands()):
            part = q[colour, own.u, own.v]
            if part.any():
                codes[colour, band] = mean_code(float(np.abs(part.astype(np.int32)).mean()))
    return codes


def expected(tables: DetailTables, transform: int, context: Context, step: Step, code: int) -> Integers:
    """Return the magnitudes expected in one step, int32 [n, rows, columns] in 2**-16."""
    own = bands()[step.band]
    weight = tables.weight[transform, step.colour, own.k, step.parity]
    return context.expected(*step, weight, offset_of(tables, transform, step, code))


def offset_of(tables: DetailTables, transform: int, step: Step, code: int, *, unit: bool = False) -> Integers:
    """Return what the stated mean contributes: int32 [n] in 2**-16. unit: before its weight."""
    own = bands()[step.band]
    mean = tables.shape[transform, step.colour, own.u, own.v].astype(np.int64) * mean_value(code) >> 12
    if not unit:
        mean = mean * tables.weight[transform, step.colour, own.k, step.parity, -1] >> 12
    found: Integers = np.clip(mean, -(1 << 29), 1 << 29).astype(np.int32)
    return found


def steps(codes: NDArray[np.uint8]) -> Iterator[tuple[Step, int]]:
    """Yield the steps that code anything, in order, and their mean codes."""
    for colour in range(COLOURS):
        for band in range(BANDS):
            if code := int(codes[colour, band]):
                for parity in range(PARITIES):
                    yield Step(colour, band, parity), code


@functools.cache
def scale_index_starts() -> NDArray[np.int32]:
    """Return the least expected magnitude E of scale indices i = 2..63, three to an octave.

    E**3 >= 2**(17 + i), in 2**-16.
    """
    starts = []
    for scale_index in range(2, 64):
        bound = 1 << (17 + scale_index)
        least = round(2 ** ((17 + scale_index) / 3))
        while least**3 >= bound:
            least -= 1
        starts.append(least + 1)
    return np.array(starts, np.int32)


def scale_indices_of(expectation: Integers) -> NDArray[np.uint8]:
    """Return the scale_indices 1..63 of expectations."""
    return (np.searchsorted(scale_index_starts(), expectation, side="right") + 1).astype(np.uint8)


def detail_crc(q: NDArray[np.int16]) -> int:
    """Return the CRC-32 over coefficients, int16 little-endian, first axis slowest."""
    return symbol_crc(q)
