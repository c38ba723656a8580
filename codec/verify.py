"""Whether a .vae file is sound, without the time that pixels take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codec.bitstream import chunks
from codec.bitstream.alpha import parse_alpha
from codec.bitstream.container import parse_container
from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.given import Data, given
from codec.bitstream.metadata import parse_metadata
from codec.decoder import check_tile
from codec.image.lossless import unpack_plane
from codec.limits import DEFAULT_LIMITS, Limits
from codec.model.weights import load_model
from codec.runtime.out_of_memory import memory_errors
from codec.runtime.threads import map_ordered, worker_count

if TYPE_CHECKING:
    from codec.bitstream.header import Header


@memory_errors()
def verify(data: Data, *, threads: int | None = None, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Check structure, every CRC-32, all symbols, lossless tiles and alpha; return the header.

    A file that passes decodes on every machine. data: its bytes or its path. threads: default one for each
    core. Raises what `Decoder.decode` raises.
    """
    with given(data) as view:
        return _verify(view, threads, limits)


def _verify(data: memoryview, threads: int | None, limits: Limits) -> Header:
    container = parse_container(data, limits)
    parse_metadata(container.chunks, limits)
    header = container.header
    grid = tile_grid(header.width, header.height, header.tile_size)
    model = load_model(header.model_id)

    def check(tile: Tile) -> None:
        check_tile(model, tile, container.tiles[tile.index], header.rate_index)

    map_ordered(check, grid, min(worker_count(threads), len(grid)))
    for chunk in container.chunks:
        if chunk.kind == chunks.ALPHA:
            parts = parse_alpha(chunk.payload, grid)
            for tile in grid:
                unpack_plane(parts[tile.index], (tile.height, tile.width), f"alpha of tile {tile.index}")
    return header
