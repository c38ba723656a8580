from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.bitstream.geometry import Tile, grid_shape, tile_count, tile_grid, y_shape, z_shape
from codec.bitstream.rate_index import nearest_rate_point, tile_rate_index


def test_tiles_computed_by_hand():
    assert tile_grid(600, 513, 512) == [
        Tile(0, 0, 0, 512, 512),
        Tile(1, 512, 0, 88, 512),
        Tile(2, 0, 512, 512, 1),
        Tile(3, 512, 512, 88, 1),
    ]
    assert tile_grid(1, 1, 64) == [Tile(0, 0, 0, 1, 1)]


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([64, 128, 512]))
def test_tiles_cover_the_picture_once(width, height, size):
    tiles = tile_grid(width, height, size)
    rows, columns = grid_shape(width, height, size)
    assert len(tiles) == rows * columns == tile_count(width, height, size)
    assert sum(t.width * t.height for t in tiles) == width * height
    assert all(t.x + t.width <= width and t.y + t.height <= height for t in tiles)


@pytest.mark.parametrize(
    ("pixels", "stride", "z", "y"),
    [((512, 512), 64, (8, 8), (32, 32)), ((512, 512), 32, (16, 16), (32, 32)), ((1, 65), 64, (2, 1), (8, 4))],
)
def test_latent_shapes(pixels, stride, z, y):
    assert z_shape(*pixels, stride) == z
    assert y_shape(*pixels, stride) == y


def test_rate_index_arithmetic():
    assert [tile_rate_index(q, o) for q, o in ((0, -1), (100, 2), (2560, 1), (1000, -128))] == [
        0,
        132,
        2560,
        0,
    ]
    assert [nearest_rate_point(q) for q in (0, 127, 128, 383, 384, 2431, 2432, 2560)] == [
        0,
        0,
        1,
        1,
        2,
        9,
        10,
        10,
    ]
