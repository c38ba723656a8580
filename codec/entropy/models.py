"""Coder models built from the frozen tables: lazily, once each, shared by all threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from codec.entropy.range_coder import Model, RangeCoder
    from codec.entropy.tables import EntropyTables


class TableModels:
    """A cache of a range coder's models over one set of tables. Safe to share between threads."""

    def __init__(self, tables: EntropyTables, range_coder: RangeCoder) -> None:
        self.tables = tables
        self.range_coder = range_coder
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

    def r(self, scale_index: int) -> Model:
        """Return the model of residuals of one scale index in 1..63."""
        return self._get(
            (-1, scale_index), lambda: self.range_coder.table_model(self.tables.r_table(scale_index))
        )

    def z(self, rate_point: int, channel: int) -> Model:
        """Return the model of one hyper-latent channel, which must cover at least two values."""
        table_model = self.range_coder.table_model
        return self._get((rate_point, channel), lambda: table_model(self.tables.z_table(rate_point, channel)))

    def uniform(self, bits: int) -> Model:
        """Return the model of 2**bits equal intervals, bits in 1..16."""
        return self._get((-2, bits), lambda: self.range_coder.uniform_model(bits))
