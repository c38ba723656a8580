"""Synthesise any part of a picture in bounded memory, a few rows of tiles at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE, Tile, grid_shape, tile_at, y_shape
from codec.bitstream.header import Header
from codec.image.picture import Canvas
from codec.inference.threads import map_ordered
from codec.inference.weights import LoadedModel
from codec.limits import Limits
from codec.model.config import ModelConfig
from codec.tiles.preview import REACH, preview
from codec.tiles.transforms import Block, reach, synthesis_blocks, synthesise

# Least number of tiles whose latents are held at a time: 21 MB, and enough work for many cores.
TILES_AT_A_TIME = 16

# Measured peaks of one worker, rounded up; tests/tiles/test_decode_memory.py compares them with real ones. A
# worker turns the words of one tile into latents, then synthesises blocks of bounded size.
BYTES_PER_ELEMENT = 90
BYTES_PER_BLOCK = 144 << 20
# Pillow holds RGB in four bytes; alpha takes one more until it is painted.
BYTES_PER_PIXEL = 5
FLOAT_BYTES = 4

Latents = Callable[[Tile], NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Window:
    """Part of a latent map of rows x columns: `inner` is synthesised, `outer` are the latents this needs."""

    inner: Block
    outer: Block
    rows: int
    columns: int

    def tiles(self, header: Header) -> list[Tile]:
        """Return the tiles whose latents are needed, in file order."""
        return [tile for row in self.tile_rows(header) for tile in row]

    def tile_rows(self, header: Header) -> list[list[Tile]]:
        """Return the tiles whose latents are needed, as one list for each row of tiles."""
        side = header.tile_size // LATENT_STRIDE
        columns = grid_shape(header.width, header.height, header.tile_size)[1]
        return [
            [
                tile_at(header.width, header.height, header.tile_size, row * columns + column)
                for column in range(self.outer.left // side, math.ceil(self.outer.right / side))
            ]
            for row in range(self.outer.top // side, math.ceil(self.outer.bottom / side))
        ]


def window_over(header: Header, model: LoadedModel, box: tuple[int, int, int, int], scale: int = 1) -> Window:
    """Return the window that covers a rectangle of pixels, box = (left, top, right, bottom).

    scale: 1, or one of preview.SCALES, which needs a smaller halo.
    """
    rows, columns = y_shape(header.width, header.height, model.config.z_stride)
    left, top = (value // LATENT_STRIDE for value in box[:2])
    right, bottom = (math.ceil(value / LATENT_STRIDE) for value in box[2:])
    whole = (0, 0, header.width, header.height)
    # The map may extend a little beyond the picture; synthesising all of it is cheaper than cutting it.
    inner = Block(0, 0, rows, columns) if box == whole else Block(top, left, bottom, right)
    return Window(inner, inner.grown(_halo(model, scale), rows, columns), rows, columns)


def paint(
    canvas: Canvas,
    model: LoadedModel,
    header: Header,
    window: Window,
    latents: Latents,
    present: NDArray[np.bool_] | None,
    threads: int,
    scale: int = 1,
) -> None:
    """Synthesise the learned tiles of a window onto a canvas.

    latents: called once for each tile of the window that has latents, on a worker thread, from top to bottom;
    returns the tile's unscaled latent, float32 [M, h, w]. present: as for synthesise. threads: number of
    workers. scale: 1, or one of preview.SCALES for a canvas whose sides are divided by it.
    """
    halo, outer = _halo(model, scale), window.outer
    groups = list(_groups(window.tile_rows(header)))
    # A row can be synthesised only with a halo of latents above and below it.
    most_rows = max(_latent_rows(group, header) for group, _ in groups) + 2 * halo
    held = _Held(model.config.m, outer, min(most_rows, outer.bottom - outer.top))
    done = window.inner.top
    for group, is_last in groups:
        bottom = outer.bottom if is_last else (group[-1].y + group[-1].height) // LATENT_STRIDE
        held.grow(bottom)

        def fetch(tile: Tile) -> None:
            top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
            if present is None or present[top, left]:
                held.put(top, left, latents(tile))

        map_ordered(fetch, group, threads)
        # The last rows need the halo that the next group of tiles brings.
        ready = window.inner.bottom if is_last else min(bottom - halo, window.inner.bottom)
        if ready <= done:
            continue
        strip = Block(done, window.inner.left, ready, window.inner.right)
        _paint_strip(canvas, model, header, held, strip, present, threads, scale)
        done = ready
        held.drop_above(done - halo)


class _Held:
    """A sliding window of whole rows of latents in a window's outer block: it grows below, drops rows above.

    All rows share one buffer: allocating anew for every group of tiles fragments the heap.
    """

    def __init__(self, channels: int, outer: Block, most_rows: int) -> None:
        self.block = Block(outer.top, outer.left, outer.top, outer.right)
        self._buffer = np.zeros((channels, most_rows, outer.right - outer.left), np.float32)

    @property
    def map(self) -> NDArray[np.float32]:
        """The latents held, float32 [M, rows, columns]."""
        return self._buffer[:, : self.block.bottom - self.block.top]

    def grow(self, bottom: int) -> None:
        """Make room for rows down to `bottom`."""
        top = self.map.shape[1]
        self.block = dataclasses.replace(self.block, bottom=bottom)
        # Positions without latents are masked by multiplication, so they must be finite.
        self.map[:, top:] = 0

    def put(self, top: int, left: int, part: NDArray[np.float32]) -> None:
        """Store the part in the block of a tile's latents, whose first position is (top, left)."""
        block = self.block
        rows = slice(max(block.top - top, 0), max(block.bottom - top, 0))
        columns = slice(max(block.left - left, 0), max(block.right - left, 0))
        part = part[:, rows, columns]
        y, x = max(top - block.top, 0), max(left - block.left, 0)
        self.map[:, y : y + part.shape[1], x : x + part.shape[2]] = part

    def drop_above(self, top: int) -> None:
        """Forget the rows above `top`."""
        if top > self.block.top:
            kept = self.map[:, top - self.block.top :].copy()
            self.block = dataclasses.replace(self.block, top=top)
            self.map[:] = kept


def _paint_strip(
    canvas: Canvas,
    model: LoadedModel,
    header: Header,
    held: _Held,
    strip: Block,
    present: NDArray[np.bool_] | None,
    threads: int,
    scale: int,
) -> None:
    """Synthesise a rectangle of latent positions, all held together with their halo."""
    origin = held.block
    own = None if present is None else present[origin.top : origin.bottom, origin.left : origin.right]

    rate_index = model.config.base_rate_index(header.rate_index)

    def work(block: Block) -> None:
        down, right = strip.top - origin.top, strip.left - origin.left
        local = Block(block.top + down, block.left + right, block.bottom + down, block.right + right)
        if own is not None and not own[local.top : local.bottom, local.left : local.right].any():
            return
        if scale == 1:
            part = synthesise(model, held.map, local, rate_index, gray=header.is_gray, present=own)
        else:
            part = preview(model, held.map, local, scale, gray=header.is_gray, present=own)
        step = LATENT_STRIDE // scale
        canvas.paint((origin.left + local.left) * step, (origin.top + local.top) * step, part)

    map_ordered(work, synthesis_blocks(strip.bottom - strip.top, strip.right - strip.left, threads), threads)


def _halo(model: LoadedModel, scale: int) -> int:
    return reach(model.config) if scale == 1 else REACH


def _latent_rows(group: list[Tile], header: Header) -> int:
    """Return the number of latent rows in a group of rows of tiles, those of a short last row included."""
    rows_of_tiles = (group[-1].y - group[0].y) // header.tile_size + 1
    return rows_of_tiles * header.tile_size // LATENT_STRIDE


def _groups(rows: list[list[Tile]]) -> Iterator[tuple[list[Tile], bool]]:
    """Yield whole rows grouped to at least TILES_AT_A_TIME tiles; the flag is True for the last group."""
    group: list[Tile] = []
    for number, row in enumerate(rows, start=1):
        group += row
        if number == len(rows) or len(group) >= TILES_AT_A_TIME:
            yield group, number == len(rows)
            group = []


def affordable_workers(
    limits: Limits, header: Header, config: ModelConfig, size: tuple[int, int], wanted: int
) -> int:
    """Return how many of `wanted` workers may decode `size` = (width, height) pixels within the limits.

    Raises LimitExceeded if even one worker needs too much memory.
    """
    tile = min(header.tile_size, header.width) * min(header.tile_size, header.height)
    shared = BYTES_PER_PIXEL * size[0] * size[1] + _latent_bytes(header, config, size)
    each = BYTES_PER_ELEMENT * config.m * math.ceil(tile / LATENT_STRIDE**2) + BYTES_PER_BLOCK
    return limits.workers(wanted, shared, each)


def _latent_bytes(header: Header, config: ModelConfig, size: tuple[int, int]) -> int:
    """Return twice the bytes of the latents held at a time: dropping rows copies those that stay."""
    side, halo = header.tile_size // LATENT_STRIDE, 2 * reach(config)
    columns = math.ceil(size[0] / header.tile_size) + 1
    rows = math.ceil(TILES_AT_A_TIME / columns) + 1
    width = min(columns * side, math.ceil(size[0] / LATENT_STRIDE)) + halo
    height = min(rows * side, math.ceil(size[1] / LATENT_STRIDE)) + halo
    return 2 * FLOAT_BYTES * config.m * width * height
