"""Pixels to `.vae` bytes."""

from __future__ import annotations

import functools

import torch

from codec.bitstream.container import write_container
from codec.bitstream.geometry import LATENT_STRIDE, Tile, tile_grid, y_shape
from codec.bitstream.header import Header
from codec.bitstream.quality import rate_band
from codec.bitstream.tile import FLAG_LIFT, TilePayload
from codec.entropy.coder import symbol_crc
from codec.image.convert import PictureLike, RgbArray, load_rgb
from codec.model.index import default_model_id, model_entry
from codec.model.quality import to_rate
from codec.model.weights import LoadedModel, load_model
from codec.runtime.latents import TileSymbols, quantise_tile
from codec.runtime.threads import map_ordered, worker_count
from codec.runtime.transform_blocks import Block, analyse


class Encoder:
    """Compress pictures with one loaded model, at one quality. Threads may share it.

    quality: 0..100, higher is better and larger; on ordinary photos quality Q looks about as WebP's Q does.
    Even 100 is not lossless. threads: workers over tiles, default one for each core; the bytes never depend
    on it. Raises UsageError for a value outside its range, WeightsError or BackendMismatch where the model
    cannot be used on this machine.
    """

    def __init__(self, quality: float = 75, *, threads: int | None = None) -> None:
        model_id = default_model_id()
        self.rate = to_rate(quality, model_entry(model_id))
        self.threads = worker_count(threads)
        self._model = load_model(model_id)

    def encode(self, image: PictureLike) -> bytes:
        """Compress one picture: a PIL image, an array uint8 [H, W, 3], a path, or the bytes of a file.

        Raises UnsupportedImage, LimitExceeded or UsageError; warns (ConversionWarning) of what is not kept.
        """
        pixels = load_rgb(image)
        height, width = pixels.shape[:2]
        header = Header(width, height, self.rate, self._model.model_id)
        tiles = tile_grid(width, height, header.tile_size)
        encode = functools.partial(encode_tile, self._model, pixels, quality=self.rate)
        return write_container(header, map_ordered(encode, tiles, min(self.threads, len(tiles))))


def tile_symbols(model: LoadedModel, pixels: RgbArray, tile: Tile, quality: int) -> TileSymbols:
    """Return the symbols of one tile of a picture, uint8 [H, W, 3], at quality 0..1792.

    Float inside, so only on one thread, as map_ordered gives it, is the result always the same.
    """
    height, width = pixels.shape[:2]
    rows, columns = y_shape(width, height, model.config.z_stride)
    tile_rows, tile_columns = y_shape(tile.width, tile.height, model.config.z_stride)
    top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
    block = Block(top, left, top + tile_rows, left + tile_columns)
    with torch.inference_mode():
        return quantise_tile(model, analyse(model, pixels, block, rows, columns, quality), quality)


def encode_tile(model: LoadedModel, pixels: RgbArray, tile: Tile, *, quality: int) -> bytes:
    """Payload of one tile's chunk (FORMAT.md, "Tiles")."""
    symbols = tile_symbols(model, pixels, tile, quality)
    words = model.coder.encode(symbols.z, symbols.r, symbols.scale_index, rate_band(quality))
    flags = FLAG_LIFT if symbols.lift else 0
    return TilePayload(flags, 0, symbol_crc(symbols.z, symbols.r), words).pack()


@functools.lru_cache(maxsize=16)
def _encoder(quality: float) -> Encoder:
    return Encoder(quality)


def compress(image: PictureLike, quality: float = 75) -> bytes:
    """Compress one picture with the default settings; see `Encoder`."""
    return _encoder(quality).encode(image)
