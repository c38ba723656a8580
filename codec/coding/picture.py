"""A whole picture at any rate index: tiles, what lies between them, and the file they make."""

from __future__ import annotations

import functools
import threading
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.alpha import pack_alpha
from codec.bitstream.container import write_container
from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.header import Header, layout_code
from codec.bitstream.metadata import pack_metadata
from codec.coding.tile import CodedTile, code_learned, code_lossless, code_tile
from codec.effort.levels import Budget
from codec.effort.view import TileView, view_tile
from codec.image.canvas import Canvas
from codec.image.gray import is_gray
from codec.image.lossless import pack_plane
from codec.image.picture import Picture, PillowSamples
from codec.model.index import ModelEntry
from codec.model.weights import LoadedModel
from codec.options import EncodeOptions
from codec.ratecontrol.offsets import RegionMap, clamped
from codec.ratecontrol.roi import TILE_LOG2
from codec.runtime.latents import dequantise_tile
from codec.runtime.painting import paint, window_over
from codec.runtime.presence import has_neighbour, presence
from codec.runtime.threads import Progress, map_ordered

_Around: TypeAlias = tuple[bytes | None, list[tuple[int, bytes]]]


class Coded:
    """A picture coded at one rate index: its header and tiles."""

    def __init__(self, header: Header, tiles: list[CodedTile]) -> None:
        self.header, self.tiles = header, tiles

    @property
    def exact(self) -> set[int]:
        """Which tiles are stored without loss."""
        return {index for index, tile in enumerate(self.tiles) if tile.lossless}


class PictureCoder:
    """Codes one picture, at one rate index after another.

    threads: workers over tiles. keep: hold the latents, 5 bytes a pixel, for further rate indices.
    """

    def __init__(
        self,
        model: LoadedModel,
        entry: ModelEntry,
        picture: Picture,
        options: EncodeOptions,
        *,
        threads: int,
        keep: bool,
    ) -> None:
        self._model, self._entry, self._picture, self._options = model, entry, picture, options
        self._workers, self._keep = threads, keep
        gray = is_gray(picture)
        self._how = options.tile_settings(gray=gray)
        self._layout = layout_code(picture.layout, gray=gray)
        # Regions of interest follow the borders of tiles, so these are smaller then.
        self._log2 = TILE_LOG2 if options.roi else 9
        self.tiles = tile_grid(picture.width, picture.height, 1 << self._log2)
        self._regions = RegionMap(options.roi, picture.width, picture.height, self.tiles)
        self._threads = min(threads, len(self.tiles))
        self._views: dict[int, TileView] = {}
        self._rest: _Around | None = None

    def code(self, rate_index: int, progress: Progress | None = None) -> Coded:
        """Code all tiles at a rate index 0..2560. progress: called with the tiles done and their total."""
        picture = self._picture
        header = Header(
            picture.width, picture.height, rate_index, self._model.model_id, self._log2, layout=self._layout
        )
        self._offsets = clamped(self._regions.offsets(rate_index, self._entry))
        shares = _Shares(len(self.tiles), progress)
        work = functools.partial(self._code_tile, header, shares)
        # Tiles that take long tell themselves how far they are.
        coarse = None if self._how.level.iterations else progress
        coded = Coded(header, map_ordered(work, self.tiles, self._threads, coarse))
        self._mind_the_gaps(coded)
        return coded

    def file(self, coded: Coded) -> bytes:
        """Return the bytes of the .vae file."""
        alpha, metadata = self._around()
        payloads = [tile.payload for tile in coded.tiles]
        return write_container(coded.header, payloads, metadata, alpha=alpha, lossless=coded.exact)

    def decoded(self, coded: Coded) -> PillowSamples:
        """Return the colour samples that the file decodes to."""
        header, model, exact = coded.header, self._model, coded.exact
        canvas = Canvas("RGB", 0, 0, header.width, header.height, None, gray=header.is_gray)
        window = window_over(header, model, (0, 0, header.width, header.height))
        present = presence(header, exact, model.config.z_stride)

        def latents(tile: Tile) -> NDArray[np.float32]:
            found = coded.tiles[tile.index]
            if found.symbols is None:
                raise TypeError("a lossless tile has no latents")
            return dequantise_tile(model, found.symbols, found.rate_index)

        paint(canvas, model, header, window, latents, present, self._workers)
        for index in exact:
            tile = self.tiles[index]
            canvas.paint(tile.x, tile.y, self._samples(tile))
        return PillowSamples(canvas.image)

    def _code_tile(self, header: Header, shares: _Shares, tile: Tile) -> CodedTile:
        if self._options.lossless:
            return code_lossless(self._samples(tile))
        offset, budget = self._offsets[tile.index], self._budget(shares, tile)
        return code_tile(self._model, self._view(tile), header.rate_index, offset, self._how, budget)

    def _budget(self, shares: _Shares, tile: Tile) -> Budget:
        """Share a picture's seconds among its tiles, by their size."""
        share = tile.width * tile.height * self._threads / (self._picture.width * self._picture.height)
        return Budget(self._options.seconds * min(1, share), functools.partial(shares.tick, tile.index))

    def _view(self, tile: Tile) -> TileView:
        if tile.index in self._views:
            return self._views[tile.index]
        view = view_tile(self._model, self._picture.colour, tile, rim=self._how.level.decides)
        if self._keep:
            self._views[tile.index] = view
        return view

    def _mind_the_gaps(self, coded: Coded) -> None:
        """Code the neighbours of lossless tiles again, as the decoder sees them: without latents there."""
        exact, header = coded.exact, coded.header
        present = presence(header, exact, self._model.config.z_stride)
        beside = [t for t in self.tiles if t.index not in exact and has_neighbour(header, t.index, exact)]
        if not beside:
            return
        level, colour = self._how.level, self._picture.colour
        shares = _Shares(len(beside), None)

        def again(tile: Tile) -> CodedTile:
            view = view_tile(self._model, colour, tile, present, rim=level.decides)
            offset, budget = self._offsets[tile.index], self._budget(shares, tile)
            return code_learned(self._model, view, header.rate_index, offset, self._how, budget)

        found = map_ordered(again, beside, min(self._threads, len(beside)))
        for tile, payload in zip(beside, found, strict=True):
            coded.tiles[tile.index] = payload

    def _around(self) -> _Around:
        """Return the payload of alpha and the chunks of metadata, made once."""
        if self._rest is None:
            picture, alpha = self._picture, None
            if picture.alpha is not None:
                plane = functools.partial(_pack_alpha, picture.alpha)
                alpha = pack_alpha(map_ordered(plane, self.tiles, self._threads))
            metadata = [] if self._options.strip else pack_metadata(picture.metadata)
            self._rest = alpha, metadata
        return self._rest

    def _samples(self, tile: Tile) -> NDArray[np.uint8]:
        return self._picture.colour[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]


def _pack_alpha(alpha: NDArray[np.uint8], tile: Tile) -> bytes:
    return pack_plane(alpha[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width])


class _Shares:
    """Tells progress in hundredths of tiles, from any thread."""

    def __init__(self, tiles: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = dict[int, int](), 100 * tiles, progress
        self._lock = threading.Lock()

    def tick(self, tile: int, share: float) -> None:
        """Note which share of a tile is done."""
        if self._progress is None:
            return
        with self._lock:
            if self._done.get(tile) != int(100 * share):
                self._done[tile] = int(100 * share)
                self._progress(sum(self._done.values()), self._total)
