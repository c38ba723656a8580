"""The range coder of FORMAT.md section 6: constriction's, or where that is missing, one in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from codec.entropy import plain_range_coder

if TYPE_CHECKING:
    from numpy.typing import NDArray

Model = Any


class RangeCoder(NamedTuple):
    """All write the same words.

    encoder: () -> what encodes. decoder: words, uint32 -> what decodes. table_model: uint32 [n], n in
    2..65536, entries >= 1 with sum 2**24 -> a model of just these integer intervals. uniform_model: bits in
    1..16 -> that of 2**bits equal intervals.
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


def _best() -> RangeCoder:
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
        # 2**24 is a multiple of 2**bits, so the library's intervals are equal and nothing is left over.
        return model.Uniform(1 << bits)

    return RangeCoder("constriction", queue.RangeEncoder, queue.RangeDecoder, table_model, uniform_model)


BEST = _best()
