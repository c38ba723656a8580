"""Decode `.vae` files to pixels."""

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
from codec.decode.symbols import decode_detail, decode_symbols
from codec.errors import Failure, UsageError
from codec.image.lossless import unpack, unpack_plane
from codec.image.metadata import at_scale, attach
from codec.image.picture import Canvas, reduced
from codec.inference.backends import CPU
from codec.inference.threads import OnError, Progress, map_ahead, map_ordered, on_worker, worker_count
from codec.inference.weights import load_model
from codec.io.memory import memory_errors
from codec.limits import DEFAULT_LIMITS, Limits
from codec.tiles.detail import add_detail
from codec.tiles.preview import SCALES
from codec.tiles.quantise import dequantise_tile
from codec.tiles.synthesis import affordable_workers, paint, window_over
from codec.tiles.transforms import presence

Box = tuple[int, int, int, int]


class Decoder:
    """Decompresses `.vae` data. Safe to share between threads and forked processes; models load on first use.

    threads: workers over tiles, default one for each core, but no more than limits.max_memory_bytes allows.
    limits: caps on what a file may declare, checked before allocation. device: where the networks run, "cpu"
    or a torch device such as "cuda"; symbols are always decoded on the CPU.

    Pickles as its options. As a context manager it does nothing on exit: there is nothing to close.
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
        """Decompress one file to a PIL image of mode RGB, L, LA or RGBA, with its metadata in `info`.

        data: the bytes or the path of a file.
        region: (x, y, width, height) in pixels: return only this part, and read only the tiles it needs.
        scale: 8 or 16 returns a preview at 1/8 or 1/16, sides rounded up, in a fraction of the time. A region
        is given in pixels of the whole picture; the preview shows every pixel of its own that it touches.
        progress: called with (tiles done, all tiles), from any thread.
        Symbols are exact on every machine; samples may differ by one level between machines, except those of
        lossless tiles and of alpha, which are exact.
        Raises a FormatError subclass for damaged data, LimitExceeded (also when memory runs out),
        UnknownModel, WeightsError or BackendMismatch, UsageError for a region outside the picture, an invalid
        scale or data of another type, OSError for a path that cannot be read. Messages about a path begin
        with the path.
        """
        with given(data) as view:
            file_map = locate_tiles(view, self.limits)
            metadata = parse_metadata(file_map.chunks, self.limits)
            box = _box(file_map.header, region)
            with memory_errors():
                picture = _DecodeTask(self, view, file_map, box, check_scale(scale), progress).run()
            attach(at_scale(metadata, scale), picture)
            return picture

    def __reduce__(self) -> tuple[object, ...]:
        return functools.partial(type(self), **self._options), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def decode_from(self, fp: IO[bytes], *, progress: Progress | None = None) -> Image.Image:
        """Decompress the next .vae file in an open file or pipe; reads may return less than requested.

        Nothing after that file is read, so another may follow and a connection may stay open. Raises the
        errors of `decode` and of `fp.read`.
        """
        return self.decode(read_file(fp, self.limits), progress=progress)

    def decode_array(self, data: Data, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Decompress one file to samples uint8 [H, W] (gray) or [H, W, 2, 3 or 4] (LA, RGB, RGBA).

        out: an array of this shape and type, of any strides, that is filled and returned.
        Raises the errors of `decode`, and UsageError, before decoding, for `out` of another shape or type.
        """
        with given(data) as view:
            header = parse_header(view, self.limits)
            bands = len(header.mode)
            shape = (header.height, header.width, bands)[: 2 if bands == 1 else 3]
            if out is not None and (out.shape != shape or out.dtype != np.uint8 or not out.flags.writeable):
                raise UsageError(
                    f"out must be writable uint8 of shape {shape}, not {out.dtype} of {out.shape}",
                    field="out",
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
        """Decompress many files, lazily and in order: several in parallel, each on one thread.

        items: the bytes or paths of files. At most 2 * threads of them are read ahead, none with threads=1.
        on_error: 'raise' raises the error of the first file that fails, 'yield' yields a `Failure` in its
        place and continues.
        """
        single_threaded = copy.copy(self)
        single_threaded.threads = 1
        return map_ahead(single_threaded.decode, items, self.threads, on_error)


class _DecodeTask:
    """The decoding of one picture or region. box: left, top, right, bottom in pixels of the picture."""

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
        # The visible box in pixels of the result, and the box it covers in pixels of the picture.
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
        # All tiles are parsed first, to find damage before time is spent on pixels.
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
        has_latents = presence(self.header, exact, self.model.config.z_stride)
        if len(exact) < len(self.tiles):
            paint(
                canvas,
                self.model,
                self.header,
                self.window,
                self._latents,
                has_latents,
                self.threads,
                self.scale,
            )

        # After the learned tiles, whose blocks extend into lossless ones.
        visible = [self.grid[i] for i in sorted(self.tiles) if self._is_visible(self.grid[i])]
        map_ordered(functools.partial(self._finish, canvas), visible, self.threads)
        return canvas.image

    def _finish(self, canvas: Canvas, tile: Tile) -> None:
        """Paint a lossless tile, or add the detail layer of a learned one; previews omit detail layers."""
        payload = self.tiles[tile.index]
        if isinstance(payload, LosslessTile):
            samples = reduced(unpack(payload.stream, f"tile {tile.index}"), self.scale)
            canvas.paint(tile.x // self.scale, tile.y // self.scale, samples)
            self._report_progress()
        elif payload.detail is not None and self.scale == 1:
            detail = decode_detail(self.model, tile, payload.detail)
            samples = canvas.read(tile.x, tile.y, tile.width, tile.height)
            canvas.paint(tile.x, tile.y, add_detail(self.model, detail, samples, gray=self.header.is_gray))

    def _latents(self, tile: Tile) -> NDArray[np.float32]:
        payload = self.tiles[tile.index]
        if not isinstance(payload, TilePayload):
            raise TypeError("a lossless tile has no latents")
        symbols = decode_symbols(self.model, tile, payload, self.header.rate_index)
        base = self.model.config.base_rate_index(self.header.rate_index)
        latents = dequantise_tile(self.model, symbols, payload.rate_index(base))
        self._report_progress()
        return latents

    def _alpha(self) -> NDArray[np.uint8] | None:
        """Return alpha of the visible box, uint8 [h, w], or None."""
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

        map_ordered(place, [tile for tile in self.grid if self._is_visible(tile)], self.threads)
        return alpha

    def _is_visible(self, tile: Tile) -> bool:
        """Return whether a tile overlaps the box."""
        left, top, right, bottom = self.box
        return (
            tile.x < right and tile.x + tile.width > left and tile.y < bottom and tile.y + tile.height > top
        )

    def _report_progress(self) -> None:
        if self.progress is not None:
            self.progress(next(self.done), len(self.tiles))


def check_scale(scale: int) -> int:
    """Return scale if it is 1, 8 or 16. Raises UsageError otherwise."""
    if scale not in (1, *SCALES):
        raise UsageError(f"scale must be 1, 8 or 16, not {scale!r}", field="scale")
    return scale


def shown_box(box: Box, scale: int) -> Box:
    """Return the box in a preview at 1/scale that a box of the picture touches: left, top, right, bottom."""
    left, top, right, bottom = box
    return left // scale, top // scale, -(-right // scale), -(-bottom // scale)


def _box(header: Header, region: Box | None) -> Box:
    """Convert a region to left, top, right, bottom. Raises UsageError if it is not within the picture."""
    if region is None:
        return 0, 0, header.width, header.height
    x, y, width, height = region
    if min(x, y) < 0 or min(width, height) < 1 or x + width > header.width or y + height > header.height:
        raise UsageError(
            f"region {x},{y},{width},{height} does not lie in a picture of {header.width}x{header.height}",
            field="region",
        )
    return x, y, x + width, y + height
