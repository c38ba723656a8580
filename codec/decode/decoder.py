"""`.vae` bytes to pixels."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import IO, Any, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream import wire
from codec.bitstream.container import FileMap, locate_tiles, read_tile
from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.header import Header, parse_header
from codec.bitstream.metadata_chunks import parse_metadata
from codec.bitstream.sequential_reader import read_file
from codec.bitstream.tile_payloads import LosslessTile, TilePayload, parse_alpha
from codec.bitstream.wire import Data, given
from codec.decode.symbols import decode_symbols
from codec.errors import Failure, UsageError
from codec.image.lossless import unpack, unpack_plane
from codec.image.metadata import at_scale, attach
from codec.image.picture import Canvas, reduced
from codec.inference.backends import CPU
from codec.inference.threads import OnError, Progress, map_ahead, map_ordered, on_worker, worker_count
from codec.inference.weights import load_model
from codec.io.memory import memory_errors
from codec.limits import DEFAULT_LIMITS, Limits
from codec.tiles.preview import SCALES
from codec.tiles.quantise import dequantise_tile
from codec.tiles.synthesis import affordable_workers, paint, window_over
from codec.tiles.transforms import presence

Box = tuple[int, int, int, int]


class Decoder:
    """Decompress `.vae` data. Threads may share it, and forked processes; models are loaded at first need.

    Pickles as its options. As a context manager it does nothing but mark where it is used: it holds nothing
    that must be closed.

    threads: workers over tiles, default one for each core, but no more than limits.max_memory_bytes allows.
    limits: what a file may declare before anything of that size is allocated. device: where the networks run,
    "cpu" or what torch calls a GPU, such as "cuda"; symbols are always decoded on the CPU.
    """

    def __init__(
        self, *, threads: int | None = None, limits: Limits | None = None, device: str = CPU
    ) -> None:
        self._options: dict[str, Any] = {"threads": threads, "limits": limits, "device": device}
        self.device = device
        self.threads = worker_count(threads)
        self.limits = DEFAULT_LIMITS if limits is None else limits

    def decode(
        self,
        data: Data,
        *,
        region: Box | None = None,
        scale: int = 1,
        progress: Progress | None = None,
    ) -> Image.Image:
        """Decompress one file, its bytes or its path, to a PIL image of mode RGB, L, LA or RGBA.

        Its metadata is in `info`.
        region: (x, y, width, height) in pixels: give only this part, and read only the tiles that takes.
        scale: 8 or 16 for a preview so many times smaller, sides rounded up, in a fraction of the time; of a
        region, still given in pixels of the whole picture, it shows all that the region touches.
        progress: called with the number of tiles done and of all tiles, from any thread.
        Symbols are exact on every machine; samples may differ by one level between machines, but for those of
        lossless tiles and of alpha, which are exact.
        Raises a FormatError subclass for damaged data, LimitExceeded (also where memory runs out),
        UnknownModel, WeightsError or BackendMismatch, UsageError for a region outside the picture, another
        scale or what is no file, OSError for a path that cannot be read. Messages about a path begin with it.
        """
        with given(data) as view:
            file_map = locate_tiles(view, self.limits)
            metadata = parse_metadata(file_map.chunks, self.limits)
            box = _box(file_map.header, region)
            with memory_errors():
                picture = _Job(self, view, file_map, box, check_scale(scale), progress).run()
            attach(at_scale(metadata, scale), picture)
            return picture

    def __reduce__(self) -> tuple[object, ...]:
        return functools.partial(type(self), **self._options), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def decode_from(self, fp: IO[bytes], *, progress: Progress | None = None) -> Image.Image:
        """Decompress the picture that an open file, pipe or socket holds next; reads that give less are fine.

        Exactly one picture is read, so that another may follow it, and a connection may stay open. Raises as
        `decode`, and what `fp.read` raises.
        """
        return self.decode(read_file(fp, self.limits), progress=progress)

    def decode_array(self, data: Data, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Decompress one file to samples uint8 [H, W] (gray) or [H, W, 2, 3 or 4] (LA, RGB, RGBA).

        out: an array of just that shape and type, of any strides, that is filled and returned.
        Raises as `decode`, UsageError for another shape or type of `out`, before anything is decoded.
        """
        with given(data) as view:
            header = parse_header(view, self.limits)
            bands = len(header.mode)
            shape = (header.height, header.width, bands)[: 2 if bands == 1 else 3]
            if out is not None and (out.shape != shape or out.dtype != np.uint8 or not out.flags.writeable):
                raise UsageError(
                    f"out must be writable, uint8, {shape}, not {out.dtype}, {out.shape}", field="out"
                )
            samples = np.asarray(self.decode(view))
        if out is None:
            return np.array(samples)
        out[...] = samples
        return out

    @overload
    def map(self, items: Iterable[Data], *, on_error: Literal["raise"] = ...) -> Iterator[Image.Image]: ...

    @overload
    def map(
        self, items: Iterable[Data], *, on_error: Literal["yield"]
    ) -> Iterator[Image.Image | Failure]: ...

    def map(
        self, items: Iterable[Data], *, on_error: OnError = "raise"
    ) -> Iterator[Image.Image] | Iterator[Image.Image | Failure]:
        """Decompress many files, lazily and in order: pictures in parallel, each on one thread.

        At most 2 * threads files are taken ahead, and none with threads=1. on_error: 'raise' ends with the
        first file that fails, 'yield' gives a `Failure` in its place and goes on.
        """
        alone = copy.copy(self)
        alone.threads = 1
        return map_ahead(alone.decode, items, self.threads, on_error)


class _Job:
    """One picture, or a part of it, on its way to pixels. box: left, top, right, bottom in pixels."""

    def __init__(
        self,
        decoder: Decoder,
        data: memoryview,
        file_map: FileMap,
        box: Box,
        scale: int,
        progress: Progress | None,
    ) -> None:
        self.header = file_map.header
        self.scale = scale
        # What is shown, in pixels of the result, and all that takes part in it, in pixels of the picture.
        self.shown = shown_box(box, scale)
        left, top, right, bottom = (scale * side for side in self.shown)
        self.box = left, top, min(right, self.header.width), min(bottom, self.header.height)
        self.model = on_worker(functools.partial(load_model, self.header.model_id, decoder.device))
        size = self.box[2] - left, self.box[3] - top
        self.threads = affordable_workers(
            decoder.limits, self.header, self.model.config, size, decoder.threads
        )
        self.window = window_over(self.header, self.model, self.box, scale)
        self.grid = tile_grid(self.header.width, self.header.height, self.header.tile_size)
        self.alpha = next((c.payload for c in file_map.chunks if c.kind == wire.ALPHA), None)
        # All are read, and damage is found, before any time is spent on pixels.
        self.tiles = {
            tile.index: read_tile(data, file_map, tile.index) for tile in self.window.tiles(self.header)
        }
        self.progress = progress
        self.done = itertools.count(1)

    def run(self) -> Image.Image:
        left, top, right, bottom = self.shown
        size, gray = (right - left, bottom - top), self.header.is_gray
        canvas = Canvas(self.header.mode, left, top, *size, self._alpha(), gray=gray)
        exact = {index for index, tile in self.tiles.items() if isinstance(tile, LosslessTile)}
        present = presence(self.header, exact, self.model.config.z_stride)
        if len(exact) < len(self.tiles):
            paint(
                canvas,
                self.model,
                self.header,
                self.window,
                self._latents,
                present,
                self.threads,
                self.scale,
            )

        # After the learned tiles, whose blocks reach over them.
        def place(index: int) -> None:
            tile, payload = self.grid[index], self.tiles[index]
            if isinstance(payload, LosslessTile) and self._shows(tile):
                samples = reduced(unpack(payload.stream, f"tile {index}"), self.scale)
                canvas.paint(tile.x // self.scale, tile.y // self.scale, samples)
                self._count()

        map_ordered(place, sorted(exact), self.threads)
        return canvas.image

    def _latents(self, tile: Tile) -> NDArray[np.float32]:
        payload = self.tiles[tile.index]
        if not isinstance(payload, TilePayload):
            raise TypeError("a lossless tile has no latents")
        symbols = decode_symbols(self.model, tile, payload, self.header.rate_index)
        latents = dequantise_tile(self.model, symbols, payload.rate_index(self.header.rate_index))
        self._count()
        return latents

    def _alpha(self) -> NDArray[np.uint8] | None:
        """Return alpha of the box, uint8 [h, w], or None."""
        if self.alpha is None:
            return None
        parts = parse_alpha(self.alpha, self.grid)
        left, top, right, bottom = self.shown
        alpha = np.empty((bottom - top, right - left), np.uint8)

        def place(tile: Tile) -> None:
            plane = unpack_plane(parts[tile.index], (tile.height, tile.width), f"alpha of tile {tile.index}")
            plane = reduced(plane, self.scale)
            x, y = tile.x // self.scale - left, tile.y // self.scale - top
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


def check_scale(scale: int) -> int:
    """Return a scale that there are previews at, or 1. Raises UsageError for any other."""
    if scale not in (1, *SCALES):
        raise UsageError(f"scale must be 1, 8 or 16, not {scale!r}", field="scale")
    return scale


def shown_box(box: Box, scale: int) -> Box:
    """Return the pixels of a preview that a box of the picture touches; both left, top, right, bottom."""
    left, top, right, bottom = box
    return left // scale, top // scale, -(-right // scale), -(-bottom // scale)


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
