"""Integer arithmetic of the quality number (FORMAT.md section 4.3)."""

from __future__ import annotations

MAX_QUALITY = 2560
OFFSET_UNIT = 16


def tile_quality(quality: int, offset: int) -> int:
    """Return the quality of a tile, 0..2560, from the header's quality and the tile's offset -128..127."""
    return min(max(quality + OFFSET_UNIT * offset, 0), MAX_QUALITY)


def rate_band(quality: int) -> int:
    """Return the nearest of the model's rate points, 0..10, of a tile's quality 0..2560."""
    return min((quality + 128) >> 8, MAX_QUALITY >> 8)
