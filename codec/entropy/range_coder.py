"""The range coder of FORMAT.md section 6: constriction's, or where that is missing, one in plain Python.

Both write the same words. `NAME` tells which it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from codec.entropy import plain_range_coder

try:
    import constriction  # type: ignore[import-untyped]
except ImportError:
    constriction = None

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "plain" if constriction is None else "constriction"
_queue = plain_range_coder if constriction is None else constriction.stream.queue
# Called without arguments, and with words, uint32.
RangeEncoder: Any = _queue.RangeEncoder
RangeDecoder: Any = _queue.RangeDecoder
Model = Any


def table_model(freq: NDArray[np.uint32]) -> Model:
    """Build a coder model whose integer intervals are exactly the table.

    freq: uint32 [n], n in 2..65536, entries >= 1 with sum 2**24.
    constriction gives entry i the integer trunc(p * (2**24 - n) / sum(p)) + 1; with p = k - 1 the factor is
    exactly 1 and every partial sum is an integer below 2**53, so nothing is rounded.
    """
    if constriction is None:
        return plain_range_coder.table_model(freq)
    return constriction.stream.model.Categorical(freq.astype(np.float64) - 1.0, perfect=False)


def uniform_model(bits: int) -> Model:
    """Build the model of 2**bits equal intervals, bits in 1..16."""
    if constriction is None:
        return plain_range_coder.uniform_model(1 << bits)
    # 2**24 is a multiple of 2**bits, so the library's intervals are equal and nothing is left over.
    return constriction.stream.model.Uniform(1 << bits)
