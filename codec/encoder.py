"""Pixels to `.vae` bytes."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator
from typing import IO, Any, Literal, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.alpha import pack_alpha
from codec.bitstream.container import write_container
from codec.bitstream.geometry import LATENT_STRIDE, Tile, tile_grid, y_shape
from codec.bitstream.header import Header, layout_code
from codec.bitstream.metadata import pack_metadata
from codec.bitstream.quality import rate_band
from codec.bitstream.tile import FLAG_LIFT, TilePayload
from codec.entropy.coder import symbol_crc
from codec.files import write_all
from codec.image.convert import PictureLike, load_picture
from codec.image.gray import is_gray
from codec.image.lossless import may_pay, pack, pack_plane
from codec.image.picture import Samples
from codec.model.index import default_model_id, model_entry
from codec.model.inference.runner import CPU
from codec.model.quality import to_rate
from codec.model.weights import LoadedModel, load_model
from codec.runtime.ahead import OnError, map_ahead
from codec.runtime.exactness import exact_pays
from codec.runtime.latents import TileSymbols, quantise_tile
from codec.runtime.presence import has_neighbour, presence
from codec.runtime.threads import Progress, map_ordered, on_worker, worker_count
from codec.runtime.transform_blocks import Block, analyse
from codec.types import Failure


class Encoder:
    """Compress pictures with one loaded model, at one quality. Threads may share it, and forked processes.

    Pickles as its options, so that sending it to another process sends no weights. As a context manager it
    does nothing but mark where it is used: it holds nothing that must be closed.

    quality: 0..100, higher is better and larger; on ordinary photos quality Q looks about as WebP's Q does.
    Even 100 is not lossless. lossless: keep every sample exactly instead, whatever the quality. strip: leave
    out all metadata. threads: workers over tiles, default one for each core; the bytes never depend on it.
    device: where the networks run, "cpu" or what torch calls a GPU, such as "cuda".
    Raises UsageError for a value outside its range, WeightsError, BackendMismatch or BackendMissing where the
    model cannot be used on this machine.
    """

    def __init__(
        self,
        quality: float = 75,
        *,
        threads: int | None = None,
        strip: bool = False,
        lossless: bool = False,
        device: str = CPU,
    ) -> None:
        self._options: dict[str, Any] = {
            "quality": quality,
            "threads": threads,
            "strip": strip,
            "lossless": lossless,
            "device": device,
        }
        model_id = default_model_id()
        self.rate = to_rate(quality, model_entry(model_id))
        self.threads = worker_count(threads)
        self.strip = strip
        self.lossless = lossless
        self._model = on_worker(functools.partial(load_model, model_id, device))

    def __reduce__(self) -> tuple[object, ...]:
        return functools.partial(type(self), **self._options), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def encode(self, image: PictureLike, *, progress: Progress | None = None) -> bytes:
        """Compress one picture: a PIL image, an array uint8 [H, W, 3], a path, or the bytes of a file.

        Gray, transparency and metadata are kept; a ConversionWarning tells what is not. A tile is stored
        without loss where that takes no more bytes, or so few more that they are well spent at this quality.
        progress: called with the number of tiles done and of all tiles.
        Raises UnsupportedImage, LimitExceeded or UsageError.
        """
        picture = load_picture(image)
        layout = layout_code(picture.layout, gray=is_gray(picture))
        header = Header(picture.width, picture.height, self.rate, self._model.model_id, layout=layout)
        tiles = tile_grid(header.width, header.height, header.tile_size)
        threads = min(self.threads, len(tiles))
        code = functools.partial(
            code_tile,
            self._model,
            picture.colour,
            quality=self.rate,
            lossless=self.lossless,
            gray=header.is_gray,
        )
        coded = map_ordered(code, tiles, threads, progress)
        self._mind_the_gaps(coded, header, tiles, picture.colour)
        alpha = None
        if picture.alpha is not None:
            plane = functools.partial(_pack_alpha, picture.alpha)
            alpha = pack_alpha(map_ordered(plane, tiles, threads))
        metadata = [] if self.strip else pack_metadata(picture.metadata)
        exact = {index for index, tile in enumerate(coded) if tile.lossless}
        return write_container(header, [t.payload for t in coded], metadata, alpha=alpha, lossless=exact)

    def encode_to(self, image: PictureLike, fp: IO[bytes], *, progress: Progress | None = None) -> int:
        """Compress one picture into an open file, pipe or socket, whole; return the number of bytes.

        Nothing is written before all is encoded. Raises as `encode`, and what `fp.write` raises.
        """
        data = self.encode(image, progress=progress)
        write_all(fp, data)
        return len(data)

    @overload
    def map(self, images: Iterable[PictureLike], *, on_error: Literal["raise"] = ...) -> Iterator[bytes]: ...

    @overload
    def map(
        self, images: Iterable[PictureLike], *, on_error: Literal["yield"]
    ) -> Iterator[bytes | Failure]: ...

    def map(
        self, images: Iterable[PictureLike], *, on_error: OnError = "raise"
    ) -> Iterator[bytes] | Iterator[bytes | Failure]:
        """Compress many pictures, lazily and in order: pictures in parallel, each on one thread.

        At most 2 * threads pictures are taken ahead, and none with threads=1. on_error: 'raise' ends with
        the first picture that fails, 'yield' gives a `Failure` in its place and goes on. The bytes are those
        that `encode` gives.
        """
        alone = copy.copy(self)
        alone.threads = 1
        return map_ahead(alone.encode, images, self.threads, on_error)

    def _mind_the_gaps(
        self, coded: list[CodedTile], header: Header, tiles: list[Tile], pixels: Samples
    ) -> None:
        """Code the neighbours of lossless tiles again, as the decoder sees them: without latents there."""
        exact = {index for index, tile in enumerate(coded) if tile.lossless}
        present = presence(header, exact, self._model.config.z_stride)
        beside = [t for t in tiles if t.index not in exact and has_neighbour(header, t.index, exact)]
        if not beside:
            return
        code = functools.partial(encode_tile, self._model, pixels, quality=self.rate, present=present)
        again = map_ordered(code, beside, min(self.threads, len(beside)))
        for tile, payload in zip(beside, again, strict=True):
            coded[tile.index] = CodedTile(payload, False)


class CodedTile(NamedTuple):
    """The payload of a tile's chunk, and whether that is a LOSSLESS_TILE."""

    payload: bytes
    lossless: bool


def code_tile(
    model: LoadedModel, pixels: Samples, tile: Tile, *, quality: int, lossless: bool, gray: bool
) -> CodedTile:
    """Code one tile of a picture without loss where that is asked for or pays, else by the model."""
    samples = pixels[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
    if lossless:
        return CodedTile(pack(samples), True)
    symbols = tile_symbols(model, pixels, tile, quality)
    learned = _pack_symbols(model, symbols, quality)
    if may_pay(samples, len(learned)):
        exact = pack(samples)
        if exact_pays(model, symbols, samples, quality, len(exact) - len(learned), gray=gray):
            return CodedTile(exact, True)
    return CodedTile(learned, False)


def tile_symbols(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    quality: int,
    present: NDArray[np.bool_] | None = None,
) -> TileSymbols:
    """Return the symbols of one tile of a picture [H, W, 3] at quality 0..1792.

    present: where the picture has latents, bool [rows, columns]; None if everywhere.
    Float inside, so only on one thread, as map_ordered gives it, is the result always the same.
    """
    height, width = pixels.shape[:2]
    rows, columns = y_shape(width, height, model.config.z_stride)
    tile_rows, tile_columns = y_shape(tile.width, tile.height, model.config.z_stride)
    top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
    block = Block(top, left, top + tile_rows, left + tile_columns)
    y = analyse(model, pixels, block, rows, columns, quality, present)
    return quantise_tile(model, y, quality)


def encode_tile(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    *,
    quality: int,
    present: NDArray[np.bool_] | None = None,
) -> bytes:
    """Payload of one learned tile's chunk (FORMAT.md, "Tiles"); arguments as for tile_symbols."""
    return _pack_symbols(model, tile_symbols(model, pixels, tile, quality, present), quality)


def _pack_symbols(model: LoadedModel, symbols: TileSymbols, quality: int) -> bytes:
    words = model.coder.encode(symbols.z, symbols.r, symbols.scale_index, rate_band(quality))
    flags = FLAG_LIFT if symbols.lift else 0
    return TilePayload(flags, 0, symbol_crc(symbols.z, symbols.r), words).pack()


def _pack_alpha(alpha: NDArray[np.uint8], tile: Tile) -> bytes:
    return pack_plane(alpha[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width])


@functools.lru_cache(maxsize=16)
def _encoder(quality: float) -> Encoder:
    return Encoder(quality)


def compress(image: PictureLike, quality: float = 75) -> bytes:
    """Compress one picture with the default settings; see `Encoder`."""
    return _encoder(quality).encode(image)
