"""Which parts of a picture have latents: lossless tiles have none, and their neighbours must know."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE, grid_shape, y_shape
from codec.bitstream.header import Header


def presence(header: Header, lossless: Collection[int], z_stride: int) -> NDArray[np.bool_] | None:
    """Return where a picture has latents, bool [rows, columns]; None if that is everywhere."""
    if not lossless:
        return None
    present = np.ones(y_shape(header.width, header.height, z_stride), bool)
    side = header.tile_size // LATENT_STRIDE
    columns = grid_shape(header.width, header.height, header.tile_size)[1]
    for index in lossless:
        top, left = (side * place for place in divmod(index, columns))
        present[top : top + side, left : left + side] = False
    return present


def has_neighbour(header: Header, index: int, others: Collection[int]) -> bool:
    """Tell whether one of the eight tiles around a tile is among others."""
    rows, columns = grid_shape(header.width, header.height, header.tile_size)
    row, column = divmod(index, columns)
    return any(
        r * columns + c in others
        for r in range(max(0, row - 1), min(rows, row + 2))
        for c in range(max(0, column - 1), min(columns, column + 2))
    )
