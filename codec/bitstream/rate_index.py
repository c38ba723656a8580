"""Constants that files and weights share, and arithmetic of the rate index (FORMAT.md section 4.3)."""

from __future__ import annotations

# Rates at which the model has its own gains and tables; neighbours differ by STEP_UNITS of the rate index.
RATE_POINTS = 11
STEP_UNITS = 256
MAX_RATE_INDEX = (RATE_POINTS - 1) * STEP_UNITS
# The largest rate index of a header. Those above MAX_RATE_INDEX differ in their detail layers alone.
MAX_HEADER_RATE_INDEX = MAX_RATE_INDEX + 5 * STEP_UNITS
# Rate index per unit of a rate offset.
OFFSET_UNIT = 16
# Number of scale indices. Each has a probability table, except index 0, whose residuals are all 0.
SCALE_COUNT = 64


def tile_rate_index(base_rate_index: int, rate_offset: int) -> int:
    """Return a tile's rate index, 0..2560, from the picture's base rate index and its offset -128..127."""
    return min(max(base_rate_index + OFFSET_UNIT * rate_offset, 0), MAX_RATE_INDEX)


def nearest_rate_point(rate_index: int) -> int:
    """Return the rate point, 0..10, nearest to a tile's rate index, 0..2560."""
    return min((rate_index + STEP_UNITS // 2) // STEP_UNITS, RATE_POINTS - 1)
