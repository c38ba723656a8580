"""One tile: its latent, its symbols, its payload, and whether it is better stored without loss."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE, Tile, y_shape
from codec.bitstream.quality import rate_band, tile_quality
from codec.bitstream.tile import FLAG_LIFT, TilePayload
from codec.effort.levels import Budget
from codec.effort.search import improved
from codec.effort.settings import TileSettings
from codec.effort.view import TileView
from codec.entropy.coder import symbol_crc
from codec.image.lossless import may_pay, pack
from codec.image.picture import Samples
from codec.model.weights import LoadedModel
from codec.runtime.exactness import exact_pays
from codec.runtime.latents import Floats, TileSymbols, quantise_tile
from codec.runtime.transform_blocks import Block, analyse


class CodedTile(NamedTuple):
    """The payload of a tile's chunk; what it decodes from: symbols and own quality, or none if lossless."""

    payload: bytes
    symbols: TileSymbols | None
    quality: int = 0

    @property
    def lossless(self) -> bool:
        """Whether it is a LOSSLESS_TILE."""
        return self.symbols is None


def code_lossless(samples: NDArray[np.uint8]) -> CodedTile:
    """Store a tile's samples, uint8 [h, w, 3], exactly."""
    return CodedTile(pack(samples), None)


def code_learned(
    model: LoadedModel, view: TileView, quality: int, offset: int, how: TileSettings, budget: Budget
) -> CodedTile:
    """Code a tile by the model; quality: the header's, 0..2560, offset: the tile's own."""
    own = tile_quality(quality, offset)
    symbols = quantise_tile(model, view.latent(model, own), own)
    symbols = improved(model, view, symbols, own, quality, how, budget)
    return CodedTile(pack_symbols(model, symbols, own, offset), symbols, own)


def code_tile(
    model: LoadedModel, view: TileView, quality: int, offset: int, how: TileSettings, budget: Budget
) -> CodedTile:
    """Code a tile by the model, or without loss where that pays; arguments as for code_learned."""
    learned, samples = code_learned(model, view, quality, offset, how, budget), view.samples
    if learned.symbols is not None and may_pay(samples, len(learned.payload)):
        exact = code_lossless(samples)
        extra = len(exact.payload) - len(learned.payload)
        if exact_pays(model, learned.symbols, samples, learned.quality, extra, gray=how.gray):
            return exact
    return learned


def tile_symbols(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    quality: int,
    present: NDArray[np.bool_] | None = None,
) -> TileSymbols:
    """Return the symbols of one tile of a picture [H, W, 3] at quality 0..2560, by the fastest way.

    present: where the picture has latents, bool [rows, columns]; None if everywhere.
    Float inside, so only on one thread, as map_ordered gives it, is the result always the same.
    """
    return quantise_tile(model, tile_latent(model, pixels, tile, quality, present), quality)


def tile_latent(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    quality: int,
    present: NDArray[np.bool_] | None = None,
) -> Floats:
    """Return the scaled latent of one tile, float32 [M, h, w]; arguments as for tile_symbols."""
    height, width = pixels.shape[:2]
    rows, columns = y_shape(width, height, model.config.z_stride)
    tile_rows, tile_columns = y_shape(tile.width, tile.height, model.config.z_stride)
    top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
    block = Block(top, left, top + tile_rows, left + tile_columns)
    return analyse(model, pixels, block, rows, columns, quality, present)


def encode_tile(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    *,
    quality: int,
    present: NDArray[np.bool_] | None = None,
) -> bytes:
    """Payload of one learned tile's chunk (FORMAT.md, "Tiles"); arguments as for tile_symbols."""
    return pack_symbols(model, tile_symbols(model, pixels, tile, quality, present), quality)


def pack_symbols(model: LoadedModel, symbols: TileSymbols, quality: int, offset: int = 0) -> bytes:
    """Payload of a TILE chunk. quality: the tile's own. offset: from the header's quality to that."""
    words = model.coder.encode(symbols.z, symbols.r, symbols.scale_index, rate_band(quality))
    flags = FLAG_LIFT if symbols.lift else 0
    return TilePayload(flags, offset, symbol_crc(symbols.z, symbols.r), words).pack()
