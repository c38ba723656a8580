"""A tile as the encoder needs it: its samples and unscaled latent, with a rim of its neighbours."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE, Tile, y_shape
from codec.image.picture import Samples
from codec.inference.weights import LoadedModel
from codec.tiles.transforms import Block, analyse_unscaled, reach, scaled


@dataclasses.dataclass(frozen=True, eq=False)
class TileView:
    """One tile of a picture.

    Attributes:
        samples: of the tile, uint8 [h, w, 3].
        y: unscaled latent of the tile and its rim, float32 [M, rows, columns].
        top, left, rows, columns: position and size of the tile in `y`.
        x: samples of the tile and its rim, uint8 [16 rows, 16 columns, 3]; empty without a rim.
        present: which positions of `y` have latents, bool [rows, columns]; None if all have.
    """

    samples: NDArray[np.uint8]
    y: NDArray[np.float32]
    top: int
    left: int
    rows: int
    columns: int
    x: NDArray[np.uint8]
    present: NDArray[np.bool_] | None

    def inner(self, wide: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the tile's part of an array [C, rows, columns] that includes the rim."""
        return wide[:, self.top : self.top + self.rows, self.left : self.left + self.columns]

    def latent(self, model: LoadedModel, rate_index: int) -> NDArray[np.float32]:
        """Return the tile's scaled latent at a rate index 0..2560, float32 [M, h, w]."""
        return scaled(model, self.inner(self.y), rate_index)


def view_tile(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    present: NDArray[np.bool_] | None = None,
    *,
    rim: bool,
) -> TileView:
    """Compute the view of a tile of a picture [H, W, 3]. Call it on a worker thread.

    rim: include a rim as wide as the receptive field of g_s. present: where the picture has latents, bool
    [rows, columns]; None if everywhere.
    """
    height, width = pixels.shape[:2]
    map_rows, map_columns = y_shape(width, height, model.config.z_stride)
    rows, columns = y_shape(tile.width, tile.height, model.config.z_stride)
    top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
    block = Block(top, left, top + rows, left + columns)
    wide = block.grown(reach(model.config) if rim else 0, map_rows, map_columns)
    y = analyse_unscaled(model, pixels, wide, map_rows, map_columns, present)
    x = _samples(pixels, wide) if rim else np.empty(0, np.uint8)
    here = None if present is None else present[wide.top : wide.bottom, wide.left : wide.right]
    samples = pixels[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
    gaps = None if here is None or here.all() else np.ascontiguousarray(here)
    return TileView(samples, y, top - wide.top, left - wide.left, rows, columns, x, gaps)


def _samples(pixels: Samples, block: Block) -> NDArray[np.uint8]:
    """Cut a block out of a picture; beyond its edge the last row and column repeat."""
    height, width = pixels.shape[:2]
    top, left = block.top * LATENT_STRIDE, block.left * LATENT_STRIDE
    bottom, right = block.bottom * LATENT_STRIDE, block.right * LATENT_STRIDE
    part = pixels[top : min(bottom, height), left : min(right, width)]
    missing = ((0, bottom - top - part.shape[0]), (0, right - left - part.shape[1]), (0, 0))
    return np.pad(part, missing, mode="edge")
