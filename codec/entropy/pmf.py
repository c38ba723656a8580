"""Turning a real-valued distribution into a frozen integer table, once, at export."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from codec.entropy.tables import TOTAL
from codec.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def quantise_pmf(pmf: NDArray[Any]) -> NDArray[np.uint32]:
    """Round a distribution to integers k >= 1 that sum to exactly 2**24.

    pmf: float64 [n], n in 1..65536, entries >= 0 with a positive finite sum; it need not sum to 1.
    Every entry gets 1, the rest is shared in proportion, and the largest remainders get what rounding left
    over (ties: the lower index). Deterministic. Raises UsageError for anything else.
    """
    p = np.asarray(pmf, dtype=np.float64)
    if p.ndim != 1 or not 1 <= p.size <= 1 << 16 or not np.isfinite(p).all() or (p < 0).any():
        msg = "pmf: give 1..65536 finite non-negative numbers in one dimension"
        raise UsageError(msg, field="pmf")
    # fsum is exact, so the table does not depend on how numpy orders a vectorised sum.
    total = math.fsum(p.tolist())
    if not (0.0 < total < math.inf):
        msg = f"pmf: the sum must be positive and finite, it is {total}"
        raise UsageError(msg, field="pmf")
    share = p / total * (TOTAL - p.size)
    whole = np.floor(share)
    k = whole.astype(np.int64) + 1
    rest = TOTAL - int(k.sum())
    k[np.argsort(whole - share, kind="stable")[: max(rest, 0)]] += 1
    k[int(np.argmax(k))] += TOTAL - int(k.sum())
    return k.astype(np.uint32)
