"""`.vae` bytes to pixels."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from codec.bitstream import chunks
from codec.bitstream.alpha import parse_alpha
from codec.bitstream.container import FileMap, locate_tiles, read_tile
from codec.bitstream.geometry import Tile, tile_grid, z_shape
from codec.bitstream.header import Header
from codec.bitstream.metadata import parse_metadata
from codec.bitstream.quality import rate_band
from codec.bitstream.tile import LosslessTile, TilePayload
from codec.entropy.coder import symbol_crc
from codec.errors import ChecksumMismatch, CodecError, UsageError
from codec.image.canvas import Canvas
from codec.image.lossless import unpack, unpack_plane
from codec.image.metadata import attach
from codec.limits import DEFAULT_LIMITS, Limits
from codec.model.weights import LoadedModel, load_model
from codec.runtime.budget import affordable_workers
from codec.runtime.latents import TileSymbols, dequantise_tile
from codec.runtime.painting import paint, window_over
from codec.runtime.presence import presence
from codec.runtime.threads import Progress, map_ordered, worker_count

Box = tuple[int, int, int, int]


class Decoder:
    """Decompress `.vae` data. Threads may share it; models are loaded at first need and kept.

    threads: workers over tiles, default one for each core, but no more than limits.max_memory_bytes allows.
    limits: what a file may declare before anything of that size is allocated.
    """

    def __init__(self, *, threads: int | None = None, limits: Limits | None = None) -> None:
        self.threads = worker_count(threads)
        self.limits = DEFAULT_LIMITS if limits is None else limits

    def decode(
        self,
        data: bytes | bytearray | memoryview,
        *,
        region: Box | None = None,
        progress: Progress | None = None,
    ) -> Image.Image:
        """Decompress one file to a PIL image of mode RGB, L, LA or RGBA, its metadata in `info`.

        region: (x, y, width, height) in pixels: give only this part, and read only the tiles that takes.
        progress: called with the number of tiles done and of all tiles, from any thread.
        Symbols are exact on every machine; samples may differ by one level between machines, but for those of
        lossless tiles and of alpha, which are exact.
        Raises a FormatError subclass for damaged data, LimitExceeded, UnknownModel, WeightsError or
        BackendMismatch, UsageError for a region that does not lie in the picture.
        """
        view = memoryview(data)
        file_map = locate_tiles(view, self.limits)
        metadata = parse_metadata(file_map.chunks, self.limits)
        box = _box(file_map.header, region)
        picture = _Job(self, view, file_map, box, progress).run()
        attach(metadata, picture)
        return picture


class _Job:
    """One picture, or a part of it, on its way to pixels. box: left, top, right, bottom in pixels."""

    def __init__(
        self, decoder: Decoder, data: memoryview, file_map: FileMap, box: Box, progress: Progress | None
    ) -> None:
        self.header = file_map.header
        self.box = box
        self.model = load_model(self.header.model_id)
        size = box[2] - box[0], box[3] - box[1]
        self.threads = affordable_workers(
            decoder.limits, self.header, self.model.config, size, decoder.threads
        )
        self.window = window_over(self.header, self.model, box)
        self.grid = tile_grid(self.header.width, self.header.height, self.header.tile_size)
        self.alpha = next((c.payload for c in file_map.chunks if c.kind == chunks.ALPHA), None)
        # All are read, and damage is found, before any time is spent on pixels.
        self.tiles = {
            tile.index: read_tile(data, file_map, tile.index) for tile in self.window.tiles(self.header)
        }
        self.progress = progress
        self.done = itertools.count(1)

    def run(self) -> Image.Image:
        left, top, right, bottom = self.box
        canvas = Canvas(self.header.mode, left, top, right - left, bottom - top, self._alpha())
        exact = {index for index, tile in self.tiles.items() if isinstance(tile, LosslessTile)}
        present = presence(self.header, exact, self.model.config.z_stride)
        if len(exact) < len(self.tiles):
            paint(canvas, self.model, self.header, self.window, self._latents, present, self.threads)

        # After the learned tiles, whose blocks reach over them.
        def place(index: int) -> None:
            tile, payload = self.grid[index], self.tiles[index]
            if isinstance(payload, LosslessTile) and self._shows(tile):
                canvas.paint(tile.x, tile.y, unpack(payload.stream, f"tile {index}"))
                self._count()

        map_ordered(place, sorted(exact), self.threads)
        return canvas.image

    def _latents(self, tile: Tile) -> Tensor:
        payload = self.tiles[tile.index]
        if not isinstance(payload, TilePayload):
            raise TypeError("a lossless tile has no latents")
        symbols = decode_symbols(self.model, tile, payload, self.header.quality)
        with torch.inference_mode():
            latents = dequantise_tile(self.model, symbols, payload.quality(self.header.quality))
        self._count()
        return latents

    def _alpha(self) -> NDArray[np.uint8] | None:
        """Return alpha of the box, uint8 [h, w], or None."""
        if self.alpha is None:
            return None
        parts = parse_alpha(self.alpha, self.grid)
        left, top, right, bottom = self.box
        alpha = np.empty((bottom - top, right - left), np.uint8)

        def place(tile: Tile) -> None:
            plane = unpack_plane(parts[tile.index], (tile.height, tile.width), f"alpha of tile {tile.index}")
            x, y = tile.x - left, tile.y - top
            plane = plane[max(0, -y) :, max(0, -x) :]
            x, y = max(0, x), max(0, y)
            room = alpha[y : y + plane.shape[0], x : x + plane.shape[1]]
            room[:] = plane[: room.shape[0], : room.shape[1]]

        map_ordered(place, [tile for tile in self.grid if self._shows(tile)], self.threads)
        return alpha

    def _shows(self, tile: Tile) -> bool:
        """Tell whether any of a tile lies in the box."""
        left, top, right, bottom = self.box
        return (
            tile.x < right and tile.x + tile.width > left and tile.y < bottom and tile.y + tile.height > top
        )

    def _count(self) -> None:
        if self.progress is not None:
            self.progress(next(self.done), len(self.tiles))


def _box(header: Header, region: Box | None) -> Box:
    """Return left, top, right, bottom of a region. Raises UsageError where it leaves the picture."""
    if region is None:
        return 0, 0, header.width, header.height
    x, y, width, height = region
    if min(x, y) < 0 or min(width, height) < 1 or x + width > header.width or y + height > header.height:
        raise UsageError(
            f"region {x},{y},{width},{height} does not lie in a picture of {header.width}x{header.height}",
            field="region",
        )
    return x, y, x + width, y + height


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
