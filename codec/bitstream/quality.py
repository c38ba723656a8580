"""Integer arithmetic of the quality number (FORMAT.md section 4.3)."""

from __future__ import annotations

# Of the model; neighbours are STEP_UNITS of quality apart.
RATE_POINTS = 11
STEP_UNITS = 256
MAX_QUALITY = (RATE_POINTS - 1) * STEP_UNITS
OFFSET_UNIT = 16


def tile_quality(quality: int, offset: int) -> int:
    """Return the quality of a tile, 0..2560, from the header's quality and the tile's offset -128..127."""
    return min(max(quality + OFFSET_UNIT * offset, 0), MAX_QUALITY)


def rate_band(quality: int) -> int:
    """Return the nearest of the model's rate points, 0..10, of a tile's quality 0..2560."""
    return min((quality + STEP_UNITS // 2) // STEP_UNITS, RATE_POINTS - 1)
