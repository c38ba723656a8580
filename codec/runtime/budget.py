"""What decoding will take in memory, told from the header, and how many workers that leaves room for."""

from __future__ import annotations

import math

from codec.bitstream.geometry import LATENT_STRIDE
from codec.bitstream.header import Header
from codec.limits import Limits
from codec.model.config import ModelConfig

from .painting import TILES_AT_A_TIME
from .transform_blocks import reach

# Measured peaks, rounded up; a test holds them against real ones. A worker turns one tile's words into
# latents, then synthesises blocks of bounded size.
BYTES_PER_ELEMENT = 90
BYTES_PER_BLOCK = 144 << 20
# Pillow holds RGB in four bytes; alpha is beside it until it is painted.
BYTES_PER_PIXEL = 5
FLOAT_BYTES = 4


def affordable_workers(
    limits: Limits, header: Header, config: ModelConfig, size: tuple[int, int], wanted: int
) -> int:
    """Return how many of `wanted` workers may decode `size` (width, height) pixels within limits.

    Raises LimitExceeded where the memory for one is too much.
    """
    tile = min(header.tile_size, header.width) * min(header.tile_size, header.height)
    shared = BYTES_PER_PIXEL * size[0] * size[1] + _latent_bytes(header, config, size)
    each = BYTES_PER_ELEMENT * config.m * math.ceil(tile / LATENT_STRIDE**2) + BYTES_PER_BLOCK
    return limits.workers(wanted, shared, each)


def _latent_bytes(header: Header, config: ModelConfig, size: tuple[int, int]) -> int:
    """Return the size of the latents held at a time, twice, for they are copied to grow."""
    side, halo = header.tile_size // LATENT_STRIDE, 2 * reach(config)
    columns = math.ceil(size[0] / header.tile_size) + 1
    rows = math.ceil(TILES_AT_A_TIME / columns) + 1
    width = min(columns * side, math.ceil(size[0] / LATENT_STRIDE)) + halo
    height = min(rows * side, math.ceil(size[1] / LATENT_STRIDE)) + halo
    return 2 * FLOAT_BYTES * config.m * width * height
