"""Recover the intact tiles of a damaged file, with a pattern in place of the lost ones.

Lost tiles become lossless tiles that show the pattern. The file so repaired is decoded as any other.
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

# Squares of magenta and black, of white and black in gray pictures: no photo looks like that.
SQUARE = 16
OPAQUE = b"\xff"


@dataclass(frozen=True)
class Salvaged:
    """What was had of a file.

    picture: as Decoder.decode gives it. lost: the tiles that show the pattern, with their places in pixels.
    tiles: how many there are. notes: what else is lost, in words; empty, as `lost` is, if the file is sound.
    data: a sound .vae file that decodes to `picture`.
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
    """Decompress what is intact of a damaged file, its bytes or its path; arguments as for Decoder.

    Lost tiles show squares of magenta and black, white and black in gray pictures, and are opaque. Pixels up
    to 80 away from a lost tile may differ from those of the undamaged file.
    Raises a FormatError subclass where header or all tiles are lost; UnknownModel, WeightsError,
    BackendMismatch or LimitExceeded as Decoder does.
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
    check = functools.partial(_is_sound, model, header, salvaged.tiles)
    sound = map_ordered(check, grid, min(workers, len(grid)))
    lost = tuple(tile for tile, whole in zip(grid, sound, strict=True) if not whole)
    if len(lost) == len(grid):
        raise CorruptPayload("not one tile is intact, so nothing can be salvaged; fetch the file again")
    notes = list(salvaged.notes)
    repaired = _repair(salvaged, grid, lost, decoder.limits, notes)
    picture = decoder.decode(repaired, progress=progress)
    return Salvaged(picture, lost, len(grid), tuple(notes), repaired)


def _is_sound(
    model: LoadedModel, header: Header, tiles: list[TilePayload | LosslessTile | None], tile: Tile
) -> bool:
    """Tell whether a tile decodes. What its pixels become depends on its neighbours, so they wait."""
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
    """Return a sound file, and note what else is lost."""
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
    """Return alpha as it was; opaque where it is lost, and where the pattern must be seen."""
    stored = next((c.payload for c in salvaged.chunks if c.kind == wire.ALPHA), None)
    try:
        parts = [bytes(p) for p in parse_alpha(stored, grid)] if stored is not None else []
    except CodecError:
        parts = []
    if not parts:
        notes.append("transparency is lost")
        return OPAQUE
    bad = []
    for tile in grid:
        if tile.index in lost:
            parts[tile.index] = OPAQUE
            continue
        try:
            unpack_plane(parts[tile.index], (tile.height, tile.width), "alpha")
        except CodecError:
            bad.append(tile.index)
            parts[tile.index] = OPAQUE
    if bad:
        notes.append(f"transparency of tile {', '.join(map(str, bad))} is lost")
    return pack_alpha(parts)


@functools.lru_cache(maxsize=16)
def _pattern_stream(width: int, height: int, *, gray: bool) -> bytes:
    return pack(pattern(width, height, gray=gray))


def pattern(width: int, height: int, *, gray: bool) -> NDArray[np.uint8]:
    """Return what a lost tile shows: uint8 [height, width, 3]."""
    rows, columns = np.arange(height) // SQUARE, np.arange(width) // SQUARE
    light = (rows[:, None] + columns) % 2 == 0
    samples = np.zeros((height, width, 3), np.uint8)
    samples[light] = (255, 255, 255) if gray else (255, 0, 255)
    return samples
