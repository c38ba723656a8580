"""Coder models built from the frozen tables: lazily, once each, shared by all threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import constriction  # type: ignore[import-untyped]
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from codec.entropy.tables import EntropyTables

Model = Any

_categorical = constriction.stream.model.Categorical
_uniform = constriction.stream.model.Uniform


def table_model(freq: NDArray[np.uint32]) -> Model:
    """Build a coder model whose integer intervals are exactly the table.

    freq: uint32 [n], n in 2..65536, entries >= 1 with sum 2**24.
    The library gives entry i the integer trunc(p * (2**24 - n) / sum(p)) + 1; with p = k - 1 the factor is
    exactly 1 and every partial sum is an integer below 2**53, so nothing is rounded.
    """
    return _categorical(freq.astype(np.float64) - 1.0, perfect=False)


class TableModels:
    """A cache of coder models over one set of tables. Safe to share between threads."""

    def __init__(self, tables: EntropyTables) -> None:
        self.tables = tables
        self._lock = threading.Lock()
        self._cache: dict[tuple[int, int], Model] = {}

    def _get(self, key: tuple[int, int], build: Callable[[], Model]) -> Model:
        model = self._cache.get(key)
        if model is None:
            with self._lock:
                model = self._cache.get(key)
                if model is None:
                    model = build()
                    self._cache[key] = model
        return model

    def r(self, level: int) -> Model:
        """Return the model of residuals of one level in 1..63."""
        return self._get((-1, level), lambda: table_model(self.tables.r_table(level)))

    def z(self, band: int, channel: int) -> Model:
        """Return the model of one hyper-latent channel, which must cover at least two values."""
        return self._get((band, channel), lambda: table_model(self.tables.z_table(band, channel)))

    def uniform(self, bits: int) -> Model:
        """Return the model of 2**bits equal intervals, bits in 1..16."""
        # 2**24 is a multiple of 2**bits, so the library's intervals are equal and nothing is left over.
        return self._get((-2, bits), lambda: _uniform(1 << bits))
