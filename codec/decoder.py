"""`.vae` bytes to pixels."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.container import Container, parse_container
from codec.bitstream.geometry import LATENT_STRIDE, Tile, tile_grid, y_shape, z_shape
from codec.bitstream.quality import rate_band
from codec.bitstream.tile import TilePayload
from codec.entropy.coder import symbol_crc
from codec.errors import ChecksumMismatch, CodecError
from codec.limits import DEFAULT_LIMITS, Limits
from codec.model.weights import LoadedModel, load_model
from codec.runtime.latents import TileSymbols, dequantise_tile
from codec.runtime.threads import map_ordered, worker_count
from codec.runtime.transform_blocks import Block, synthesis_blocks, synthesise


class Decoder:
    """Decompress `.vae` data. Threads may share it; models are loaded at first need and kept.

    threads: workers over tiles, default one for each core. limits: what a file may declare before anything of
    that size is allocated.
    """

    def __init__(self, *, threads: int | None = None, limits: Limits | None = None) -> None:
        self.threads = worker_count(threads)
        self.limits = DEFAULT_LIMITS if limits is None else limits

    def decode(self, data: bytes | bytearray | memoryview) -> Image.Image:
        """Decompress one file to a PIL image of mode RGB.

        Symbols are exact on every machine; samples may differ by one level between machines.
        Raises a FormatError subclass for damaged data, LimitExceeded, UnknownModel, WeightsError or
        BackendMismatch.
        """
        return Image.fromarray(self._pixels(parse_container(memoryview(data), self.limits)))

    def _pixels(self, container: Container) -> NDArray[np.uint8]:
        header = container.header
        model = load_model(header.model_id)
        stride = model.config.z_stride
        rows, columns = y_shape(header.width, header.height, stride)
        tiles = tile_grid(header.width, header.height, header.tile_size)

        def latents(item: tuple[Tile, TilePayload]) -> None:
            tile, payload = item
            symbols = decode_symbols(model, tile, payload, header.quality)
            with torch.inference_mode():
                part = dequantise_tile(model, symbols, payload.quality(header.quality))
                top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
                y_hat[:, :, top : top + part.shape[2], left : left + part.shape[3]] = part

        def paint(block: Block) -> None:
            with torch.inference_mode():
                part = synthesise(model, y_hat, block, header.quality)
            top, left = block.top * LATENT_STRIDE, block.left * LATENT_STRIDE
            room = pixels[top : top + part.shape[0], left : left + part.shape[1]]
            room[:] = part[: room.shape[0], : room.shape[1]]

        with torch.inference_mode():
            y_hat = torch.empty(1, model.config.m, rows, columns).contiguous(
                memory_format=torch.channels_last
            )
        map_ordered(latents, zip(tiles, container.tiles, strict=True), self.threads)
        pixels = np.empty((header.height, header.width, 3), np.uint8)
        map_ordered(paint, synthesis_blocks(rows, columns, self.threads), self.threads)
        return pixels


def decode_symbols(model: LoadedModel, tile: Tile, payload: TilePayload, quality: int) -> TileSymbols:
    """Return the symbols of one tile; integer-exact.

    quality: the header's, 0..1792. Raises CorruptPayload for words that no encoder writes, ChecksumMismatch
    where the symbols are not those that were coded.
    """
    try:
        own_quality = payload.quality(quality)
        decoder = model.coder.decoder(payload.words, rate_band(own_quality))
        z = decoder.z(*z_shape(tile.width, tile.height, model.config.z_stride))
        scale_index = model.scale.scale_index(z, own_quality)
        if payload.lift:
            scale_index = np.maximum(scale_index, 1)
        r = decoder.r(scale_index)
        decoder.finish()
    except CodecError as error:
        raise type(error)(f"tile {tile.index}: {error}", field=error.field) from error
    if symbol_crc(z, r) != payload.crc:
        raise ChecksumMismatch(
            f"tile {tile.index}: the symbols' CRC-32 differs; the file is damaged, fetch it again",
            field="crc",
        )
    return TileSymbols(z, r, scale_index, payload.lift)


@functools.cache
def _decoder() -> Decoder:
    return Decoder()


def decompress(data: bytes | bytearray | memoryview) -> Image.Image:
    """Decompress one file with the default limits; see `Decoder`."""
    return _decoder().decode(data)
