"""Encode a tile: latent, symbols, payload, and the choice between learned and lossless."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE, Tile, y_shape
from codec.bitstream.rate_index import STEP_UNITS, nearest_rate_point, tile_rate_index
from codec.bitstream.tile_payloads import FLAG_LIFT, TilePayload
from codec.encode.options import Budget, TileSettings
from codec.encode.rdo.search import optimise_symbols
from codec.encode.tile_view import TileView
from codec.entropy.coder import symbol_crc
from codec.image.lossless import may_pay, pack
from codec.image.picture import Samples
from codec.inference.weights import LoadedModel
from codec.tiles.quantise import Floats, TileSymbols, dequantise_tile, quantise_tile
from codec.tiles.transforms import Block, analyse, synthesise

# Mean squared error of mid-gray for black or white: a bound for learned tiles, known without decoding.
WORST_MSE = 255**2 / 4


def lossless_pays(
    model: LoadedModel,
    symbols: TileSymbols,
    samples: NDArray[np.uint8],
    rate_index: int,
    extra_bytes: int,
    *,
    gray: bool,
) -> bool:
    """Return True if the error of a learned tile costs more than the extra bytes of lossless storage.

    The cost is the training loss: bits + lmbda * squared error of 8-bit samples, averaged over channels, with
    the lmbda of the rate index.
    samples: of the tile, uint8 [h, w, 3]. rate_index: the tile's own, 0..2560. gray: as for synthesise.
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
    """A coded tile: the payload of its chunk, its symbols (None if lossless), and its rate index 0..2560."""

    payload: bytes
    symbols: TileSymbols | None
    rate_index: int = 0

    @property
    def lossless(self) -> bool:
        """True if the payload is that of a LOSSLESS_TILE chunk."""
        return self.symbols is None


def code_lossless(samples: NDArray[np.uint8]) -> CodedTile:
    """Return a tile that stores its samples, uint8 [h, w, 3], exactly."""
    return CodedTile(pack(samples), None)


def code_learned(
    model: LoadedModel, view: TileView, header_rate_index: int, offset: int, how: TileSettings, budget: Budget
) -> CodedTile:
    """Code a tile with the networks.

    header_rate_index: of the picture, 0..2560. offset: the tile's rate offset, -128..127.
    """
    rate_index = tile_rate_index(header_rate_index, offset)
    symbols = quantise_tile(model, view.latent(model, rate_index), rate_index)
    symbols = optimise_symbols(model, view, symbols, rate_index, header_rate_index, how, budget)
    return CodedTile(pack_symbols(model, symbols, rate_index, offset), symbols, rate_index)


def code_tile(
    model: LoadedModel, view: TileView, header_rate_index: int, offset: int, how: TileSettings, budget: Budget
) -> CodedTile:
    """Code a tile with the networks, or losslessly if that costs less; arguments as for code_learned."""
    learned, samples = code_learned(model, view, header_rate_index, offset, how, budget), view.samples
    if learned.symbols is not None and may_pay(samples, len(learned.payload)):
        lossless = code_lossless(samples)
        extra = len(lossless.payload) - len(learned.payload)
        if lossless_pays(model, learned.symbols, samples, learned.rate_index, extra, gray=how.gray):
            return lossless
    return learned


def tile_symbols(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    rate_index: int,
    present: NDArray[np.bool_] | None = None,
) -> TileSymbols:
    """Return the symbols of one tile of a picture [H, W, 3] at rate index 0..2560, at effort 0.

    present: where the picture has latents, bool [rows, columns]; None if everywhere.
    The networks compute in floating point, so the result is reproducible only on one thread per worker, as
    in map_ordered.
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
    """Return the payload of one learned tile's chunk (FORMAT.md, "Tiles"); arguments as for tile_symbols."""
    return pack_symbols(model, tile_symbols(model, pixels, tile, rate_index, present), rate_index)


def pack_symbols(model: LoadedModel, symbols: TileSymbols, rate_index: int, offset: int = 0) -> bytes:
    """Return the payload of a TILE chunk. rate_index: the tile's own, 0..2560. offset: its rate offset."""
    words = model.coder.encode(symbols.z, symbols.r, symbols.scale_index, nearest_rate_point(rate_index))
    flags = FLAG_LIFT if symbols.lift else 0
    return TilePayload(flags, offset, symbol_crc(symbols.z, symbols.r), words).pack()
