"""Tables over rate points and scale indices, read without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.quality import RATE_POINTS, SCALE_COUNT, STEP_UNITS

from .config import DEAD_ZONE_FULL, DEAD_ZONE_MAX, DEAD_ZONE_NONE


def factors(table: NDArray[np.float32], rate_index: int) -> NDArray[np.float32]:
    """Return exp of table [11, C] at a rate index 0..2560, linear between its rows: float32 [C]."""
    low = min(rate_index // STEP_UNITS, RATE_POINTS - 2)
    fraction = np.float32(rate_index / STEP_UNITS - low)
    found: NDArray[np.float32] = np.exp(table[low] + fraction * (table[low + 1] - table[low]))
    return found


def dead_zone() -> NDArray[np.float32]:
    """Return the smallest |y - mu| that becomes 1, by scale index: float32 [64], 0.65 to 8, 0.5 from 16."""
    index = np.arange(SCALE_COUNT, dtype=np.float32)
    share = np.clip((DEAD_ZONE_NONE - index) / (DEAD_ZONE_NONE - DEAD_ZONE_FULL), 0, 1)
    return (0.5 + (DEAD_ZONE_MAX - 0.5) * share).astype(np.float32)
