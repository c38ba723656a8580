"""Tiles of a picture and latent shapes of a tile (FORMAT.md section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

# Pixels per position of the latent, in each direction.
LATENT_STRIDE = 16


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a picture: its index in file order and its rectangle in pixels."""

    index: int
    x: int
    y: int
    width: int
    height: int


def grid_shape(width: int, height: int, tile_size: int) -> tuple[int, int]:
    """Return (rows, columns) of tiles."""
    return -(-height // tile_size), -(-width // tile_size)


def tile_count(width: int, height: int, tile_size: int) -> int:
    """Return the number of tiles of a picture."""
    rows, columns = grid_shape(width, height, tile_size)
    return rows * columns


def tile_at(width: int, height: int, tile_size: int, index: int) -> Tile:
    """Return one tile; index counts row by row from the top left. Edge tiles are cut at the picture edge."""
    row, column = divmod(index, grid_shape(width, height, tile_size)[1])
    x, y = column * tile_size, row * tile_size
    return Tile(index, x, y, min(tile_size, width - x), min(tile_size, height - y))


def tile_grid(width: int, height: int, tile_size: int) -> list[Tile]:
    """Return all tiles in file order."""
    count = tile_count(width, height, tile_size)
    return [tile_at(width, height, tile_size, i) for i in range(count)]


def z_shape(width: int, height: int, z_stride: int) -> tuple[int, int]:
    """Return (hz, wz), the rows and columns of the hyper-latents of a tile of width x height pixels."""
    return -(-height // z_stride), -(-width // z_stride)


def y_shape(width: int, height: int, z_stride: int) -> tuple[int, int]:
    """Return (hy, wy), the rows and columns of the latents of a tile of width x height pixels.

    z_stride: 16, 32 or 64, a property of the model. Latents cover whole hyper-latents, so they may extend
    past the tile.
    """
    hz, wz = z_shape(width, height, z_stride)
    return hz * (z_stride // LATENT_STRIDE), wz * (z_stride // LATENT_STRIDE)
