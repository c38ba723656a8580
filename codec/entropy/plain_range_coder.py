"""The range coder of FORMAT.md section 6 in plain Python: slow, but without dependencies beyond numpy.

Its interface and its words are those of constriction: a model stands for a table, symbols are int32 arrays.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from codec.entropy.tables import PRECISION, TOTAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORD, _RANGE = 1 << 32, 1 << 64


class Model:
    """A table of n symbols. edges: n + 1 cumulative frequencies, from 0 to 2**24."""

    def __init__(self, edges: list[int]) -> None:
        self.edges = edges


def table_model(freq: NDArray[np.uint32]) -> Model:
    """Return the model of a table. freq: uint32 [n], entries >= 1 with sum 2**24."""
    return Model([0, *np.cumsum(freq, dtype=np.int64).tolist()])


def uniform_model(bits: int) -> Model:
    """Return the model of 2**bits equal entries, bits in 1..16."""
    return Model(list(range(0, TOTAL + 1, TOTAL >> bits)))


class RangeEncoder:
    """The encoder of FORMAT.md section 6.4. Words that only a carry can still change are stored."""

    def __init__(self) -> None:
        self._words: list[int] = []
        # The lowest two base-2**32 digits of L, less than 2**64.
        self._low, self._range = 0, _RANGE - 1

    def encode(self, symbols: NDArray[np.int32], model: Model) -> None:
        """Encode symbols, int32 [count], each an index into the model's table."""
        edges, low, width = model.edges, self._low, self._range
        for symbol in symbols.tolist():
            scale, left = width >> PRECISION, edges[symbol]
            low += scale * left
            width = scale * (edges[symbol + 1] - left)
            if low >= _RANGE:
                low -= _RANGE
                _carry(self._words)
            if width < _WORD:
                self._words.append(low >> 32)
                low, width = low % _WORD << 32, width << 32
        self._low, self._range = low, width

    def get_compressed(self) -> NDArray[np.uint32]:
        """Return the words, uint32 [count], which may end in zeros."""
        if not self._words and self._range == _RANGE - 1:
            return np.empty(0, np.uint32)
        words, last = self._words.copy(), -(-self._low // _WORD)
        if last == _WORD:
            _carry(words)
        return np.array([*words, last % _WORD], np.uint32)


def _carry(words: list[int]) -> None:
    """Add 1 to the last word and propagate the carry."""
    at = len(words) - 1
    while words[at] == _WORD - 1:
        words[at] = 0
        at -= 1
    words[at] += 1


class RangeDecoder:
    """The decoder of FORMAT.md sections 6.1 to 6.3."""

    def __init__(self, words: NDArray[np.uint32]) -> None:
        # A memoryview, whose items are Python integers, without the memory of a list.
        self._words = words.data
        self._next = 2
        first, second = (*self._words[:2], 0, 0)[:2]
        self._range, self._offset = _RANGE - 1, first << 32 | second

    def decode(self, model: Model, count: int) -> NDArray[np.int32]:
        """Decode the next symbols, int32 [count].

        Raises AssertionError, like constriction, for words that no encoder writes.
        """
        edges, words, n_words = model.edges, self._words, len(self._words)
        width, offset, at = self._range, self._offset, self._next
        symbols = []
        for _ in range(count):
            scale = width >> PRECISION
            quantile = offset // scale
            if quantile >= TOTAL:
                raise AssertionError("the offset lies outside the range")
            symbol = bisect_right(edges, quantile) - 1
            left = edges[symbol]
            offset -= scale * left
            width = scale * (edges[symbol + 1] - left)
            if width < _WORD:
                width <<= 32
                offset = offset << 32 | (words[at] if at < n_words else 0)
                at += 1
            symbols.append(symbol)
        self._range, self._offset, self._next = width, offset, at
        return np.array(symbols, np.int32)

    def maybe_exhausted(self) -> bool:
        """Return whether the words may end here (FORMAT.md section 6.3)."""
        return self._next >= len(self._words) and self._offset < 2 * _WORD - 1
