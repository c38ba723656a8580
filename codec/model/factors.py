"""Tables over rate points and levels, read without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .config import DEAD_ZONE_FULL, DEAD_ZONE_MAX, DEAD_ZONE_NONE, RATE_POINTS, SCALE_LEVELS, STEP_UNITS


def factors(table: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    """Return exp of table [11, C] at a quality 0..2560, linear between its rows: float32 [C]."""
    low = min(quality // STEP_UNITS, RATE_POINTS - 2)
    fraction = np.float32(quality / STEP_UNITS - low)
    found: NDArray[np.float32] = np.exp(table[low] + fraction * (table[low + 1] - table[low]))
    return found


def dead_zone() -> NDArray[np.float32]:
    """Return the smallest |y - mu| that becomes 1, by scale level: float32 [64], 0.65 to 8, 0.5 from 16."""
    level = np.arange(SCALE_LEVELS, dtype=np.float32)
    share = np.clip((DEAD_ZONE_NONE - level) / (DEAD_ZONE_NONE - DEAD_ZONE_FULL), 0, 1)
    return (0.5 + (DEAD_ZONE_MAX - 0.5) * share).astype(np.float32)
