"""Encode and decode the latents of a picture tile by tile, as in a file, with the default model."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE, Tile, tile_grid, y_shape
from codec.bitstream.rate_index import MAX_RATE_INDEX, RATE_POINTS, STEP_UNITS
from codec.encode.tile_coder import tile_symbols
from codec.errors import UsageError
from codec.image.picture import Samples
from codec.inference.scale_network import TILE
from codec.inference.threads import Progress, map_ordered
from codec.inference.weights import LoadedModel, load_model
from codec.model.index import default_model_id, model_entry, to_rate_index
from codec.tiles.quantise import TileSymbols, dequantise_tile
from codec.tiles.transforms import synthesis_blocks, synthesise

DEFAULT_QUALITY = 75.0


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """A model, a rate index 0..2560, and beta, the weight of rate relative to distortion.

    distortion: squared error of 8-bit samples. rate: bits per pixel. The model was trained with beta = 1 /
    lmbda of the rate index; another beta changes only the weighting of its latents.
    """

    model: LoadedModel
    rate_index: int
    beta: float

    @property
    def lmbda(self) -> float:
        """Bits per pixel equivalent to a mean squared error of one level squared."""
        return 1 / self.beta


def choose(quality: float | None = None, beta: float | None = None) -> Setting:
    """Return the default model with a rate index and beta.

    quality: 0..100, gives the rate index; its default is 75. beta: above 0, by default that of the rate
    index. With beta alone, the rate index is the one trained for it. Raises UsageError for values outside
    their ranges.
    """
    model_id = default_model_id()
    if beta is not None and not (math.isfinite(beta) and beta > 0):
        raise UsageError(f"beta must be a number above 0, not {beta!r}", field="beta")
    if quality is None and beta is not None:
        model = load_model(model_id)
        config = model.config
        span = math.log(config.lmbda_max / config.lmbda_min)
        point = math.log(1 / beta / config.lmbda_min) / span * (RATE_POINTS - 1)
        return Setting(model, round(min(max(point * STEP_UNITS, 0), MAX_RATE_INDEX)), beta)
    rate_index = to_rate_index(DEFAULT_QUALITY if quality is None else quality, model_entry(model_id))
    model = load_model(model_id)
    trained = 1 / model.config.lmbda(rate_index / STEP_UNITS)
    return Setting(model, rate_index, trained if beta is None else beta)


@dataclasses.dataclass(frozen=True, eq=False)
class PictureLatents:
    """The symbols of the tiles of a picture of width x height pixels at a rate index 0..2560."""

    width: int
    height: int
    rate_index: int
    symbols: tuple[TileSymbols, ...]

    @property
    def tiles(self) -> list[Tile]:
        """The tiles of the symbols, in file order."""
        return tile_grid(self.width, self.height, TILE)


def encode_latents(
    model: LoadedModel, pixels: Samples, rate_index: int, *, threads: int, progress: Progress | None = None
) -> PictureLatents:
    """Encode a picture [H, W, 3] at a rate index 0..2560, as compression at effort 0 does."""
    height, width = pixels.shape[:2]
    code = functools.partial(_symbols, model, pixels, rate_index)
    tiles = tile_grid(width, height, TILE)
    return PictureLatents(width, height, rate_index, tuple(map_ordered(code, tiles, threads, progress)))


def _symbols(model: LoadedModel, pixels: Samples, rate_index: int, tile: Tile) -> TileSymbols:
    return tile_symbols(model, pixels, tile, rate_index)


def decode_latents(model: LoadedModel, latents: PictureLatents, *, threads: int) -> NDArray[np.uint8]:
    """Decode latents to samples uint8 [H, W, 3], as decompression does."""
    rows, columns = y_shape(latents.width, latents.height, model.config.z_stride)
    unscaled = np.zeros((model.config.m, rows, columns), np.float32)

    def rebuild(item: tuple[Tile, TileSymbols]) -> None:
        tile, symbols = item
        part = dequantise_tile(model, symbols, latents.rate_index)
        top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
        unscaled[:, top : top + part.shape[1], left : left + part.shape[2]] = part

    map_ordered(rebuild, zip(latents.tiles, latents.symbols, strict=True), threads)
    return synthesise_whole(model, unscaled, latents.rate_index, threads)[: latents.height, : latents.width]


def synthesise_whole(
    model: LoadedModel, unscaled: NDArray[np.float32], rate_index: int, threads: int
) -> NDArray[np.uint8]:
    """Return the samples, uint8 [16h, 16w, 3], of a whole unscaled latent map, float32 [M, h, w]."""
    rows, columns = unscaled.shape[1:]
    samples = np.empty((rows * LATENT_STRIDE, columns * LATENT_STRIDE, 3), np.uint8)
    blocks = synthesis_blocks(rows, columns, threads)

    def paint(index: int) -> None:
        block = blocks[index]
        part = synthesise(model, unscaled, block, rate_index)
        top, left = block.top * LATENT_STRIDE, block.left * LATENT_STRIDE
        samples[top : top + part.shape[0], left : left + part.shape[1]] = part

    map_ordered(paint, range(len(blocks)), threads)
    return samples


def joined(latents: PictureLatents, maps: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Join maps with a value per cell, one for each tile, into a map of the picture's cells.

    Values of positions beyond the picture are added to its last cells.
    """
    rows, columns = -(-latents.height // LATENT_STRIDE), -(-latents.width // LATENT_STRIDE)
    whole = np.zeros((rows, columns))
    for tile, part in zip(latents.tiles, maps, strict=True):
        top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
        room = whole[top : top + tile_cells(tile.height), left : left + tile_cells(tile.width)]
        room += part[: room.shape[0], : room.shape[1]]
        # Positions beyond the picture cost bits too.
        _fold(room, part)
    return whole


def tile_cells(side: int) -> int:
    """Return the number of cells that cover a side of a tile, given in pixels."""
    return -(-side // LATENT_STRIDE)


def _fold(room: NDArray[np.float64], part: NDArray[np.float64]) -> None:
    rows, columns = room.shape
    room[-1] += part[rows:, :columns].sum(0)
    room[:, -1] += part[:rows, columns:].sum(1)
    room[-1, -1] += part[rows:, columns:].sum()
