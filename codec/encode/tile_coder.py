"""Encode a tile: latent, symbols, payload, and whether lossless storage is better."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE, Tile, y_shape
from codec.bitstream.rate_index import STEP_UNITS, nearest_rate_point, tile_rate_index
from codec.bitstream.tile_payloads import FLAG_LIFT, TilePayload
from codec.encode.options import Budget, TileSettings
from codec.encode.rdo.search import improved
from codec.encode.tile_view import TileView
from codec.entropy.coder import symbol_crc
from codec.image.lossless import may_pay, pack
from codec.image.picture import Samples
from codec.inference.weights import LoadedModel
from codec.tiles.quantise import Floats, TileSymbols, dequantise_tile, quantise_tile
from codec.tiles.transforms import Block, analyse, synthesise

# The error of mid-gray for black and white. No learned tile is worse, so none needs decoding to know.
WORST_MSE = 255**2 / 4


def exact_pays(
    model: LoadedModel,
    symbols: TileSymbols,
    samples: NDArray[np.uint8],
    rate_index: int,
    extra_bytes: int,
    *,
    gray: bool,
) -> bool:
    """Tell whether a tile's error costs more than extra_bytes, at the slope the rate index stands for.

    By the loss that the model was trained for: bits + lmbda * squared error, 8-bit samples, the mean of the
    channels. samples: the tile's, uint8 [h, w, 3]. rate_index: 0..2560. gray: as for synthesise.
    """
    lmbda = model.config.lmbda(rate_index / STEP_UNITS)
    height, width = samples.shape[:2]
    extra_error = 8 * extra_bytes / (lmbda * height * width)
    if extra_error <= 0:
        return True
    if extra_error > WORST_MSE:
        return False
    latents = dequantise_tile(model, symbols, rate_index)
    whole = Block(0, 0, *latents.shape[1:])
    decoded = synthesise(model, latents, whole, rate_index, gray=gray)[:height, :width]
    return bool(np.square(decoded.astype(np.float32) - samples).mean() > extra_error)


class CodedTile(NamedTuple):
    """The payload of a tile's chunk; what it decodes from: symbols and rate index, or none if lossless."""

    payload: bytes
    symbols: TileSymbols | None
    rate_index: int = 0

    @property
    def lossless(self) -> bool:
        """Whether it is a LOSSLESS_TILE."""
        return self.symbols is None


def code_lossless(samples: NDArray[np.uint8]) -> CodedTile:
    """Store a tile's samples, uint8 [h, w, 3], exactly."""
    return CodedTile(pack(samples), None)


def code_learned(
    model: LoadedModel, view: TileView, header_rate_index: int, offset: int, how: TileSettings, budget: Budget
) -> CodedTile:
    """Code a tile by the model; header_rate_index: 0..2560, offset: the tile's rate offset."""
    rate_index = tile_rate_index(header_rate_index, offset)
    symbols = quantise_tile(model, view.latent(model, rate_index), rate_index)
    symbols = improved(model, view, symbols, rate_index, header_rate_index, how, budget)
    return CodedTile(pack_symbols(model, symbols, rate_index, offset), symbols, rate_index)


def code_tile(
    model: LoadedModel, view: TileView, header_rate_index: int, offset: int, how: TileSettings, budget: Budget
) -> CodedTile:
    """Code a tile by the model, or without loss where that pays; arguments as for code_learned."""
    learned, samples = code_learned(model, view, header_rate_index, offset, how, budget), view.samples
    if learned.symbols is not None and may_pay(samples, len(learned.payload)):
        exact = code_lossless(samples)
        extra = len(exact.payload) - len(learned.payload)
        if exact_pays(model, learned.symbols, samples, learned.rate_index, extra, gray=how.gray):
            return exact
    return learned


def tile_symbols(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    rate_index: int,
    present: NDArray[np.bool_] | None = None,
) -> TileSymbols:
    """Return the symbols of one tile of a picture [H, W, 3] at rate index 0..2560, by the fastest way.

    present: where the picture has latents, bool [rows, columns]; None if everywhere.
    Float inside, so only on one thread, as map_ordered gives it, is the result always the same.
    """
    return quantise_tile(model, tile_latent(model, pixels, tile, rate_index, present), rate_index)


def tile_latent(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    rate_index: int,
    present: NDArray[np.bool_] | None = None,
) -> Floats:
    """Return the scaled latent of one tile, float32 [M, h, w]; arguments as for tile_symbols."""
    height, width = pixels.shape[:2]
    rows, columns = y_shape(width, height, model.config.z_stride)
    tile_rows, tile_columns = y_shape(tile.width, tile.height, model.config.z_stride)
    top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
    block = Block(top, left, top + tile_rows, left + tile_columns)
    return analyse(model, pixels, block, rows, columns, rate_index, present)


def encode_tile(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    *,
    rate_index: int,
    present: NDArray[np.bool_] | None = None,
) -> bytes:
    """Payload of one learned tile's chunk (FORMAT.md, "Tiles"); arguments as for tile_symbols."""
    return pack_symbols(model, tile_symbols(model, pixels, tile, rate_index, present), rate_index)


def pack_symbols(model: LoadedModel, symbols: TileSymbols, rate_index: int, offset: int = 0) -> bytes:
    """Payload of a TILE chunk. rate_index: the tile's own. offset: its rate offset."""
    words = model.coder.encode(symbols.z, symbols.r, symbols.scale_index, nearest_rate_point(rate_index))
    flags = FLAG_LIFT if symbols.lift else 0
    return TilePayload(flags, offset, symbol_crc(symbols.z, symbols.r), words).pack()
