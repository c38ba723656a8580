"""Salvage damaged files: recover the intact tiles and show a pattern in place of lost ones.

Lost tiles are replaced by lossless tiles with the pattern; the repaired file is decoded like any other.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream import wire
from codec.bitstream.container import write_container
from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.header import Header
from codec.bitstream.metadata_chunks import parse_metadata
from codec.bitstream.recovery import SalvagedParts, salvage_parts
from codec.bitstream.tile_payloads import LosslessTile, TilePayload, pack_alpha, parse_alpha
from codec.bitstream.wire import Data, given
from codec.decode.decoder import Decoder
from codec.decode.symbols import check_tile
from codec.errors import CodecError, CorruptPayload, LimitExceeded
from codec.image.lossless import pack, unpack_plane
from codec.inference.threads import Progress, map_ordered, on_worker
from codec.inference.weights import LoadedModel, load_model
from codec.io.memory import memory_errors
from codec.limits import Limits
from codec.tiles.synthesis import affordable_workers

# Side, in pixels, of the squares of the pattern. They are magenta and black, or white and black in gray
# pictures: no photo looks like that.
SQUARE = 16
# Alpha of a tile that is opaque everywhere.
OPAQUE = b"\xff"


@dataclass(frozen=True)
class Salvaged:
    """The result of salvage().

    picture: as returned by Decoder.decode. lost: the tiles that show the pattern, with their rectangles in
    pixels. tiles: number of tiles in all. notes: other losses, in words. data: an intact .vae file that
    decodes to `picture`. Both lost and notes are empty if the file was intact.
    """

    picture: Image.Image
    lost: tuple[Tile, ...]
    tiles: int
    notes: tuple[str, ...]
    data: bytes


@memory_errors()
def salvage(
    data: Data,
    *,
    threads: int | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Salvaged:
    """Decompress the intact part of a damaged file. Arguments as for Decoder and Decoder.decode.

    Lost tiles are opaque and show squares of magenta and black, or white and black in gray pictures. Pixels
    within 80 pixels of a lost tile may differ from those of the undamaged file.
    Raises a FormatError subclass if the header or all tiles are lost; UnknownModel, WeightsError,
    BackendMismatch or LimitExceeded like Decoder.
    """
    decoder = Decoder(threads=threads, limits=limits)
    with given(data) as view:
        return _salvage(view, decoder, progress)


def _salvage(data: memoryview, decoder: Decoder, progress: Progress | None) -> Salvaged:
    salvaged = salvage_parts(data, decoder.limits)
    header = salvaged.header
    model = on_worker(functools.partial(load_model, header.model_id))
    workers = affordable_workers(
        decoder.limits, header, model.config, (header.width, header.height), decoder.threads
    )
    grid = tile_grid(header.width, header.height, header.tile_size)
    check = functools.partial(_decodes, model, header, salvaged.tiles)
    intact = map_ordered(check, grid, min(workers, len(grid)))
    lost = tuple(tile for tile, is_intact in zip(grid, intact, strict=True) if not is_intact)
    if len(lost) == len(grid):
        raise CorruptPayload("no tile is intact, so nothing can be salvaged; fetch the file again")
    notes = list(salvaged.notes)
    repaired = _repair(salvaged, grid, lost, decoder.limits, notes)
    picture = decoder.decode(repaired, progress=progress)
    return Salvaged(picture, lost, len(grid), tuple(notes), repaired)


def _decodes(
    model: LoadedModel, header: Header, tiles: list[TilePayload | LosslessTile | None], tile: Tile
) -> bool:
    """Return whether the symbols or lossless samples of a tile decode.

    Pixels of learned tiles are not computed here: they depend on the neighbouring tiles.
    """
    payload = tiles[tile.index]
    if payload is None:
        return False
    try:
        check_tile(model, tile, payload, header.rate_index)
    except LimitExceeded:
        raise
    except CodecError:
        return False
    return True


def _repair(
    salvaged: SalvagedParts, grid: list[Tile], lost: tuple[Tile, ...], limits: Limits, notes: list[str]
) -> bytes:
    """Return an intact file with the pattern in lost tiles; other losses are added to `notes`."""
    header = salvaged.header
    payloads: list[bytes] = []
    exact: set[int] = {tile.index for tile in lost}
    for tile, payload in zip(grid, salvaged.tiles, strict=True):
        if tile.index in exact or payload is None:
            payloads.append(_pattern_stream(tile.width, tile.height, gray=header.is_gray))
            continue
        if isinstance(payload, LosslessTile):
            exact.add(tile.index)
        payloads.append(payload.pack())
    alpha = _alpha(salvaged, grid, {tile.index for tile in lost}, notes) if header.has_alpha else None
    return write_container(header, payloads, _metadata(salvaged, limits, notes), alpha=alpha, lossless=exact)


def _metadata(salvaged: SalvagedParts, limits: Limits, notes: list[str]) -> list[tuple[int, bytes]]:
    kept: dict[int, bytes] = {}
    for chunk in salvaged.chunks:
        if not chunk.kind & wire.ANCILLARY or chunk.kind in kept:
            continue
        try:
            parse_metadata([chunk], limits)
        except LimitExceeded:
            raise
        except CodecError:
            notes.append(f"chunk {chunk.name} is damaged")
            continue
        kept[chunk.kind] = bytes(chunk.payload)
    return list(kept.items())


def _alpha(salvaged: SalvagedParts, grid: list[Tile], lost: set[int], notes: list[str]) -> bytes:
    """Return the payload of ALPHA, opaque in tiles that are lost or whose alpha is damaged."""
    stored = next((c.payload for c in salvaged.chunks if c.kind == wire.ALPHA), None)
    try:
        parts = [bytes(p) for p in parse_alpha(stored, grid)] if stored is not None else []
    except CodecError:
        parts = []
    if not parts:
        notes.append("transparency is lost")
        return OPAQUE
    damaged = []
    for tile in grid:
        if tile.index in lost:
            parts[tile.index] = OPAQUE
            continue
        try:
            unpack_plane(parts[tile.index], (tile.height, tile.width), "alpha")
        except CodecError:
            damaged.append(tile.index)
            parts[tile.index] = OPAQUE
    if damaged:
        notes.append(f"transparency of tile {', '.join(map(str, damaged))} is lost")
    return pack_alpha(parts)


@functools.lru_cache(maxsize=16)
def _pattern_stream(width: int, height: int, *, gray: bool) -> bytes:
    return pack(pattern(width, height, gray=gray))


def pattern(width: int, height: int, *, gray: bool) -> NDArray[np.uint8]:
    """Return the pattern of a lost tile: uint8 [height, width, 3]."""
    rows, columns = np.arange(height) // SQUARE, np.arange(width) // SQUARE
    light = (rows[:, None] + columns) % 2 == 0
    samples = np.zeros((height, width, 3), np.uint8)
    samples[light] = (255, 255, 255) if gray else (255, 0, 255)
    return samples
