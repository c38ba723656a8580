"""Range coders for FORMAT.md section 6: constriction or plain Python, and models of the tables for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from codec.entropy import plain_range_coder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codec.entropy.tables import EntropyTables

Model = Any


class RangeCoder(NamedTuple):
    """The interface of a range coder. All of them write the same words.

    encoder: () -> an encoder. decoder: words, uint32 [count] -> a decoder.
    table_model: uint32 [n], n in 2..65536, entries >= 1 with sum 2**24 -> a model of exactly these integer
    intervals. uniform_model: bits in 1..16 -> a model of 2**bits equal intervals.
    """

    name: str
    encoder: Callable[[], Any]
    decoder: Callable[[NDArray[np.uint32]], Any]
    table_model: Callable[[NDArray[np.uint32]], Model]
    uniform_model: Callable[[int], Model]


PLAIN = RangeCoder(
    "plain",
    plain_range_coder.RangeEncoder,
    plain_range_coder.RangeDecoder,
    plain_range_coder.table_model,
    plain_range_coder.uniform_model,
)


def _fastest_installed() -> RangeCoder:
    try:
        import constriction  # type: ignore[import-untyped]
    except ImportError:
        return PLAIN
    queue, model = constriction.stream.queue, constriction.stream.model

    def table_model(freq: NDArray[np.uint32]) -> Model:
        # The library gives entry i the integer trunc(p * (2**24 - n) / sum(p)) + 1; with p = k - 1 the factor
        # is exactly 1 and every partial sum is an integer below 2**53, so nothing is rounded.
        return model.Categorical(freq.astype(np.float64) - 1.0, perfect=False)

    def uniform_model(bits: int) -> Model:
        # 2**24 is a multiple of 2**bits, so the library's intervals are equal.
        return model.Uniform(1 << bits)

    return RangeCoder("constriction", queue.RangeEncoder, queue.RangeDecoder, table_model, uniform_model)


# constriction if it is installed, otherwise PLAIN.
BEST = _fastest_installed()


class TableModels:
    """A cache of a range coder's models for one set of tables. Safe to share between threads."""

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
        """Return the model of the residuals of a scale index in 1..63."""
        return self._get(
            (-1, scale_index), lambda: self.range_coder.table_model(self.tables.r_table(scale_index))
        )

    def z(self, rate_point: int, channel: int) -> Model:
        """Return the model of a hyper-latent channel, whose table must have at least two entries."""
        table_model = self.range_coder.table_model
        return self._get((rate_point, channel), lambda: table_model(self.tables.z_table(rate_point, channel)))

    def uniform(self, bits: int) -> Model:
        """Return the model of 2**bits equal intervals, bits in 1..16."""
        return self._get((-2, bits), lambda: self.range_coder.uniform_model(bits))
