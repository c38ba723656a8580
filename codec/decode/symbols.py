"""Decode the symbols of tiles, and verify files without computing pixels."""

from __future__ import annotations

from codec.bitstream import wire
from codec.bitstream.container import parse_container
from codec.bitstream.geometry import Tile, tile_grid, z_shape
from codec.bitstream.header import Header
from codec.bitstream.metadata_chunks import parse_metadata
from codec.bitstream.rate_index import nearest_rate_point
from codec.bitstream.tile_payloads import DetailPayload, LosslessTile, TilePayload, parse_alpha
from codec.bitstream.wire import Data, given
from codec.entropy.coder import symbol_crc
from codec.entropy.detail_coder import detail_crc
from codec.errors import ChecksumMismatch, CodecError, CorruptPayload
from codec.image.lossless import unpack, unpack_plane
from codec.inference.threads import map_ordered, worker_count
from codec.inference.weights import LoadedModel, load_model
from codec.io.memory import memory_errors
from codec.limits import DEFAULT_LIMITS, Limits
from codec.tiles.detail import TileDetail, cells
from codec.tiles.quantise import TileSymbols, decode_residuals


def decode_symbols(model: LoadedModel, tile: Tile, payload: TilePayload, rate_index: int) -> TileSymbols:
    """Decode the symbols of one learned tile in integer arithmetic (FORMAT.md sections 6 to 8).

    rate_index: the header's, 0..3840. Raises CorruptPayload for words that no encoder writes,
    ChecksumMismatch if the symbols differ from the encoded ones.
    """
    try:
        own_rate_index = payload.rate_index(model.config.base_rate_index(rate_index))
        decoder = model.coder.decoder(payload.words, nearest_rate_point(own_rate_index))
        z = decoder.z(*z_shape(tile.width, tile.height, model.config.z_stride))
        r, scale_index = decode_residuals(model, decoder, z, own_rate_index, payload.lift)
        decoder.finish()
    except CodecError as error:
        raise type(error)(f"tile {tile.index}: {error}", field=error.field) from error
    if symbol_crc(z, r) != payload.crc:
        raise ChecksumMismatch(
            f"tile {tile.index}: the symbols' CRC-32 differs; the file is damaged, fetch it again",
            field="crc",
        )
    return TileSymbols(z, r, scale_index, payload.lift)


def decode_detail(model: LoadedModel, tile: Tile, payload: DetailPayload) -> TileDetail:
    """Decode the detail layer of one tile, exactly.

    Raises CorruptPayload for words that no encoder writes or if the model has no detail layer,
    ChecksumMismatch if the coefficients' CRC-32 differs.
    """
    where = f"tile {tile.index}: detail"
    if model.detail is None:
        msg = f"{where}: model {model.model_id.hex()} has no detail layer; the file is damaged"
        raise CorruptPayload(msg, field="detail")
    try:
        rows, columns = cells(tile.height, tile.width)
        detail = model.detail.decode(payload.words, payload.transform, rows, columns)
    except CodecError as error:
        raise type(error)(f"{where}: {error}", field=error.field) from error
    if detail_crc(detail.q) != payload.crc:
        msg = f"{where}: the coefficients' CRC-32 differs; the file is damaged, fetch it again"
        raise ChecksumMismatch(msg, field="crc")
    return TileDetail(detail, payload.transform, payload.step)


def check_tile(model: LoadedModel, tile: Tile, payload: TilePayload | LosslessTile, rate_index: int) -> None:
    """Check, without synthesis, that a learned or lossless tile decodes.

    Raises CorruptPayload or ChecksumMismatch.
    """
    if isinstance(payload, LosslessTile):
        unpack(payload.stream, f"tile {tile.index}")
    else:
        decode_symbols(model, tile, payload, rate_index)
        if payload.detail is not None:
            decode_detail(model, tile, payload.detail)


@memory_errors()
def verify(data: Data, *, threads: int | None = None, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Check structure, every CRC-32, all symbols, lossless tiles and alpha of a file; return its header.

    A file that passes decodes on every machine. data: the bytes or the path of a file. threads: workers over
    tiles, default one for each core. Raises the errors of `Decoder.decode`.
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
        if chunk.kind == wire.ALPHA:
            parts = parse_alpha(chunk.payload, grid)
            for tile in grid:
                unpack_plane(parts[tile.index], (tile.height, tile.width), f"alpha of tile {tile.index}")
    return header
