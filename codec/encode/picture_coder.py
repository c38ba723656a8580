"""Encode a whole picture at any rate index: regions of interest, tiles, and the file."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.container import write_container
from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.header import Header, layout_code
from codec.bitstream.metadata_chunks import pack_metadata
from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX, OFFSET_UNIT
from codec.bitstream.tile_payloads import pack_alpha
from codec.encode.options import TILE_LOG2, Budget, EncodeOptions, Region
from codec.encode.rdo.decision import error_weight
from codec.encode.tile_coder import CodedTile, code_learned, code_lossless, may_refine, refine_tile
from codec.encode.tile_view import TileView, view_tile
from codec.errors import UsageError
from codec.image.lossless import pack_plane
from codec.image.picture import Canvas, Picture, PillowSamples, is_gray
from codec.image.source import open_picture
from codec.inference.threads import Progress, map_ordered
from codec.inference.weights import LoadedModel
from codec.model.index import HIGHEST, LOWEST, ModelEntry, from_rate_index, to_rate_index
from codec.tiles.detail import add_detail
from codec.tiles.quantise import dequantise_tile
from codec.tiles.synthesis import paint, window_over
from codec.tiles.transforms import has_neighbour, presence

# Range of a tile's rate offset in the format.
OFFSET_MIN, OFFSET_MAX = -128, 127
# The highest price of errors, as a rate index: that of a quantiser step of one level.
LAST_PRICE = 4352

# Payload of alpha or None, and the (type, payload) of the metadata chunks.
_AlphaAndMetadata: TypeAlias = tuple[bytes | None, list[tuple[int, bytes]]]


class RegionMap:
    """Change of quality of each tile by regions of interest.

    A tile gets the whole boost of a box that it touches, and the boost of a mask times the mask's maximum in
    the tile; of several regions, the strongest change.
    Raises UsageError for a region outside the picture or a mask of another size.
    """

    def __init__(self, regions: Sequence[Region], width: int, height: int, tiles: Sequence[Tile]) -> None:
        self._boost = np.zeros(len(tiles))
        for region in regions:
            shares = _shares(region, width, height, tiles)
            change = region.boost * shares
            stronger = np.abs(change) > np.abs(self._boost)
            self._boost = np.where(stronger, change, self._boost)

    def rate_indices(self, rate_index: int, entry: ModelEntry) -> list[int]:
        """Return the rate index of each tile, 0..3840, if that of the picture is rate_index."""
        quality = from_rate_index(rate_index, entry)
        return [
            to_rate_index(min(max(quality + boost, LOWEST), HIGHEST), entry) if boost else rate_index
            for boost in self._boost.tolist()
        ]


def rate_offset(rate_index: int, base: int) -> int:
    """Return the offset, -128..127, that brings a tile nearest to a rate index; both 0..2560."""
    return min(max(round((rate_index - base) / OFFSET_UNIT), OFFSET_MIN), OFFSET_MAX)


def _shares(region: Region, width: int, height: int, tiles: Sequence[Tile]) -> NDArray[np.float64]:
    if region.box is None:
        return _mask_shares(region.mask, width, height, tiles)
    x, y, box_width, box_height = region.box
    if x + box_width > width or y + box_height > height:
        raise UsageError(
            f"region {x},{y},{box_width},{box_height} does not lie in a picture of {width}x{height}",
            field="roi",
        )
    return np.array(
        [
            float(t.x < x + box_width and t.x + t.width > x and t.y < y + box_height and t.y + t.height > y)
            for t in tiles
        ]
    )


def _mask_shares(name: str, width: int, height: int, tiles: Sequence[Tile]) -> NDArray[np.float64]:
    with open_picture(name) as picture:
        if picture.size != (width, height):
            raise UsageError(
                f"{name}: the mask must be of the picture's size, {width}x{height}, "
                f"not {picture.size[0]}x{picture.size[1]}",
                field="roi",
            )
        mask = np.asarray(picture.convert("L", dither=Image.Dither.NONE))
    return np.array([mask[t.y : t.y + t.height, t.x : t.x + t.width].max() / 255 for t in tiles])


class Coded:
    """A picture coded at one rate index: its header and tiles."""

    def __init__(self, header: Header, tiles: list[CodedTile]) -> None:
        self.header, self.tiles = header, tiles

    @property
    def lossless(self) -> set[int]:
        """Indices of the tiles that are stored losslessly."""
        return {index for index, tile in enumerate(self.tiles) if tile.lossless}


class PictureCoder:
    """Code one picture at any number of rate indices.

    threads: number of workers over tiles. keep: keep the latents for further rate indices, 5 bytes per pixel.
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
        # A region of interest covers whole tiles, so tiles are smaller if there are regions.
        self._log2 = TILE_LOG2 if options.roi else 9
        self.tiles = tile_grid(picture.width, picture.height, 1 << self._log2)
        self._regions = RegionMap(options.roi, picture.width, picture.height, self.tiles)
        self._threads = min(threads, len(self.tiles))
        self._views: dict[int, TileView] = {}
        self._price: int | None = None
        self._alpha_and_metadata: _AlphaAndMetadata | None = None

    def code_at_price(self, price: int) -> Coded:
        """Code all tiles, none losslessly, with errors that count as at a rate index 0..LAST_PRICE.

        Size and PSNR rise with it without the jumps that they make where tiles become lossless.
        """
        self._price = price
        try:
            return self.code(min(price, MAX_HEADER_RATE_INDEX))
        finally:
            self._price = None

    def code(self, rate_index: int, progress: Progress | None = None) -> Coded:
        """Code all tiles at a rate index 0..3840. progress: called with the tiles done and their total."""
        picture = self._picture
        header = Header(
            picture.width, picture.height, rate_index, self._model.model_id, self._log2, layout=self._layout
        )
        self._header_rate_index = rate_index
        self._rate_indices = self._regions.rate_indices(rate_index, self._entry)
        tile_progress = _TileProgress(len(self.tiles), progress)
        work = functools.partial(self._code_tile, header, tile_progress)
        # With iterations, tiles report their own progress in hundredths.
        coarse = None if self._how.level.iterations else progress
        coded = Coded(header, map_ordered(work, self.tiles, self._threads, coarse))
        if not self._options.lossless:
            wanted = map_ordered(functools.partial(self._may_refine, coded), self.tiles, self._threads)
            refinable = [tile for tile, yes in zip(self.tiles, wanted, strict=True) if yes]
            self._refine(coded, refinable, may_be_lossless=self._price is None)
            self._refine(coded, self._recode_tiles_beside_lossless(coded))
            self._lower_bases(coded)
        return coded

    def file(self, coded: Coded) -> bytes:
        """Return the bytes of the .vae file."""
        alpha, metadata = self._pack_alpha_and_metadata()
        payloads = [tile.payload for tile in coded.tiles]
        return write_container(coded.header, payloads, metadata, alpha=alpha, lossless=coded.lossless)

    def decoded(self, coded: Coded) -> PillowSamples:
        """Return the colour samples that the file decodes to."""
        canvas = self._painted(coded)

        def place(tile: Tile) -> None:
            detail = coded.tiles[tile.index].detail
            if detail is not None:
                samples = canvas.read(tile.x, tile.y, tile.width, tile.height)
                samples = add_detail(self._model, detail, samples, gray=coded.header.is_gray)
                canvas.paint(tile.x, tile.y, samples)
            elif coded.tiles[tile.index].lossless:
                canvas.paint(tile.x, tile.y, self._samples(tile))

        map_ordered(place, self.tiles, self._threads)
        return PillowSamples(canvas.image)

    def _painted(self, coded: Coded) -> Canvas:
        """Paint what the learned tiles decode to without detail layers."""
        header, model, lossless = coded.header, self._model, coded.lossless
        canvas = Canvas("RGB", 0, 0, header.width, header.height, None, gray=header.is_gray)
        window = window_over(header, model, (0, 0, header.width, header.height))
        present = presence(header, lossless, model.config.z_stride)

        def latents(tile: Tile) -> NDArray[np.float32]:
            coded_tile = coded.tiles[tile.index]
            if coded_tile.symbols is None:
                raise TypeError("a lossless tile has no latents")
            return dequantise_tile(model, coded_tile.symbols, coded_tile.rate_index)

        paint(canvas, model, header, window, latents, present, self._workers)
        return canvas

    def _code_tile(self, header: Header, tile_progress: _TileProgress, tile: Tile) -> CodedTile:
        if self._options.lossless:
            return code_lossless(self._samples(tile))
        return self._code_learned(header, self._view(tile), tile, self._budget(tile_progress, tile))

    def _code_learned(
        self, header: Header, view: TileView, tile: Tile, budget: Budget, wanted: int | None = None
    ) -> CodedTile:
        """Code the learned part of a tile as near to a rate index as its offset reaches; None for its own."""
        config = self._model.config
        base = config.base_rate_index(header.rate_index)
        if wanted is None:
            wanted = config.base_rate_index(self._rate_indices[tile.index])
        return code_learned(self._model, view, base, rate_offset(wanted, base), self._how, budget)

    def _lower_bases(self, coded: Coded) -> None:
        """Code hard tiles with hardly any learned part beside their detail layer, where that costs less.

        Drawn content, such as thin lines, takes many bits of the learned part and still leaves an error as
        complicated as itself.
        """
        wanted = {tile.index: 0 for tile in self.tiles if coded.tiles[tile.index].hard}
        if not wanted:
            return
        tried = [self.tiles[index] for index in wanted]
        trial = Coded(coded.header, list(coded.tiles))
        self._recode(trial, tried, wanted)
        self._refine(trial, tried)
        changed = {i for i in wanted if trial.tiles[i].cost < coded.tiles[i].cost}
        for index in changed:
            coded.tiles[index] = trial.tiles[index]
        # What g_s makes of a tile depends on its neighbours' latents.
        final = changed if len(changed) == len(wanted) else set()
        learned = [t for t in self.tiles if not coded.tiles[t.index].lossless and t.index not in final]
        self._refine(coded, [t for t in learned if has_neighbour(coded.header, t.index, changed)])

    def _may_refine(self, coded: Coded, tile: Tile) -> bool:
        if self._price is not None or self._rate_indices[tile.index] > self._model.config.detail_from:
            return True
        return may_refine(coded.tiles[tile.index], self._samples(tile), self._weight(tile))

    def _refine(self, coded: Coded, tiles: Sequence[Tile], *, may_be_lossless: bool = False) -> None:
        """Add detail layers to tiles, or store them losslessly, where that costs less."""
        if not tiles:
            return
        decoded = PillowSamples(self._painted(coded).image)

        def refined(tile: Tile) -> CodedTile:
            place = slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width)
            learned, weight = coded.tiles[tile.index], self._weight(tile)
            samples = self._samples(tile)
            return refine_tile(
                self._model,
                learned,
                samples,
                decoded[place],
                weight,
                may_be_lossless=may_be_lossless,
                keen=self._price is not None,
            )

        found = map_ordered(refined, tiles, min(self._threads, len(tiles)))
        for tile, coded_tile in zip(tiles, found, strict=True):
            coded.tiles[tile.index] = coded_tile

    def _tile_price(self, tile: Tile) -> int:
        """Return the rate index, 0 and above, at which errors of a tile count."""
        rate_index = self._rate_indices[tile.index]
        if self._price is not None:
            rate_index += self._price - self._header_rate_index
        return max(rate_index, 0)

    def _weight(self, tile: Tile) -> float:
        """Return the bits that a squared error of one level in one channel of a tile is worth."""
        return error_weight(self._model, self._tile_price(tile))

    def _budget(self, tile_progress: _TileProgress, tile: Tile) -> Budget:
        """Return a tile's time limit: its share of the area and of the workers' time for the picture."""
        share = tile.width * tile.height * self._threads / (self._picture.width * self._picture.height)
        return Budget(
            self._options.seconds * min(1, share), functools.partial(tile_progress.tick, tile.index)
        )

    def _view(self, tile: Tile) -> TileView:
        if tile.index in self._views:
            return self._views[tile.index]
        view = view_tile(self._model, self._picture.colour, tile, rim=self._how.level.decides)
        if self._keep:
            self._views[tile.index] = view
        return view

    def _recode_tiles_beside_lossless(self, coded: Coded) -> list[Tile]:
        """Code the learned neighbours of lossless tiles again, without latents there, as the decoder will.

        Return them.
        """
        lossless, header = coded.lossless, coded.header
        learned = [tile for tile in self.tiles if tile.index not in lossless]
        beside = [tile for tile in learned if has_neighbour(header, tile.index, lossless)]
        self._recode(coded, beside)
        return beside

    def _recode(self, coded: Coded, tiles: Sequence[Tile], wanted: Mapping[int, int] | None = None) -> None:
        """Code the learned part of tiles again, without latents in lossless tiles.

        wanted: rate indices by index of the tile; those of their own by default.
        """
        if not tiles:
            return
        present = presence(coded.header, coded.lossless, self._model.config.z_stride)
        level, colour = self._how.level, self._picture.colour
        tile_progress = _TileProgress(len(tiles), None)

        def recode(tile: Tile) -> CodedTile:
            view = view_tile(self._model, colour, tile, present, rim=level.decides)
            budget = self._budget(tile_progress, tile)
            own = None if wanted is None else wanted[tile.index]
            return self._code_learned(coded.header, view, tile, budget, own)

        recoded = map_ordered(recode, tiles, min(self._threads, len(tiles)))
        for tile, coded_tile in zip(tiles, recoded, strict=True):
            coded.tiles[tile.index] = coded_tile

    def _pack_alpha_and_metadata(self) -> _AlphaAndMetadata:
        """Return the payload of alpha and the chunks of metadata; they do not depend on the rate index."""
        if self._alpha_and_metadata is None:
            picture, alpha = self._picture, None
            if picture.alpha is not None:
                plane = functools.partial(_pack_alpha, picture.alpha)
                alpha = pack_alpha(map_ordered(plane, self.tiles, self._threads))
            metadata = [] if self._options.strip else pack_metadata(picture.metadata)
            self._alpha_and_metadata = alpha, metadata
        return self._alpha_and_metadata

    def _samples(self, tile: Tile) -> NDArray[np.uint8]:
        return self._picture.colour[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]


def _pack_alpha(alpha: NDArray[np.uint8], tile: Tile) -> bytes:
    return pack_plane(alpha[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width])


class _TileProgress:
    """Report progress in hundredths of tiles, from any thread."""

    def __init__(self, tiles: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = dict[int, int](), 100 * tiles, progress
        self._lock = threading.Lock()

    def tick(self, tile: int, share: float) -> None:
        """Record the share of a tile that is done, 0..1."""
        if self._progress is None:
            return
        with self._lock:
            if self._done.get(tile) != int(100 * share):
                self._done[tile] = int(100 * share)
                self._progress(sum(self._done.values()), self._total)
