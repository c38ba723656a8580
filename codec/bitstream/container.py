"""Write and parse whole files: header, chunks, tiles (FORMAT.md sections 2 to 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from codec.bitstream import wire
from codec.bitstream.geometry import tile_at
from codec.bitstream.header import BIT_DEPTHS, VERSION, Header, ImageInfo, read_header
from codec.bitstream.tile_payloads import (
    MIN_TILE_BYTES,
    LosslessTile,
    TilePayload,
    parse_lossless_tile,
    parse_tile,
)
from codec.bitstream.wire import Reader, varint
from codec.errors import CorruptPayload, TruncatedData, UnsupportedVersion, UsageError
from codec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_TILES = (wire.TILE, wire.LOSSLESS_TILE)
_KNOWN = (*_TILES, wire.INDEX, wire.ALPHA)


class Span(NamedTuple):
    """Offset and size in the file, in bytes, of the chunk of a tile."""

    offset: int
    n_bytes: int


class FileMap(NamedTuple):
    """A file whose tiles are located but not parsed.

    chunks: those before the first tile, in file order. spans: one for each tile, in raster order.
    """

    header: Header
    chunks: list[wire.Chunk]
    spans: list[Span]


class Container(NamedTuple):
    """A parsed file whose CRC-32s all hold. Payloads are views of the given data."""

    header: Header
    tiles: list[TilePayload | LosslessTile]
    chunks: list[wire.Chunk]


def write_container(
    header: Header,
    tile_payloads: Sequence[bytes],
    metadata: Sequence[tuple[int, bytes]] = (),
    *,
    alpha: bytes | None = None,
    lossless: Collection[int] = (),
) -> bytes:
    """Return the bytes of a whole file.

    tile_payloads: pack() of every tile in raster order. lossless: indices of those that are LosslessTiles.
    metadata: (type, payload) of ancillary chunks, written before the tiles in this order.
    alpha: payload of the ALPHA chunk if the layout has alpha, otherwise None.
    Raises UsageError for a wrong number of tiles, alpha that does not match the layout, or a critical type
    in the metadata.
    """
    if len(tile_payloads) != header.tiles:
        msg = f"container: the header announces {header.tiles} tiles, {len(tile_payloads)} were given"
        raise UsageError(msg, field="tiles")
    if any(not kind & wire.ANCILLARY for kind, _ in metadata):
        msg = "container: metadata chunks must have an ancillary type, 0x80 or more"
        raise UsageError(msg, field="metadata")
    if (alpha is not None) != header.has_alpha:
        msg = f"container: alpha is {'missing' if alpha is None else 'given'} for layout {header.mode}"
        raise UsageError(msg, field="alpha")
    parts = [header.pack(), *(wire.pack_chunk(kind, payload) for kind, payload in metadata)]
    if alpha is not None:
        parts.append(wire.pack_chunk(wire.ALPHA, alpha))
    if len(tile_payloads) > 1:
        parts.append(wire.pack_chunk(wire.INDEX, b"".join(varint(len(p)) for p in tile_payloads)))
    for index, payload in enumerate(tile_payloads):
        parts.append(wire.pack_chunk(wire.LOSSLESS_TILE if index in lossless else wire.TILE, payload))
    return b"".join(parts)


def parse_container(data: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> Container:
    """Parse a whole file and check its structure and every CRC-32.

    Symbols and samples are not decoded. Allocates nothing larger than the file. Raises a FormatError subclass
    or LimitExceeded.
    """
    file_map = locate_tiles(data, limits)
    tiles = [read_tile(data, file_map, i) for i in range(len(file_map.spans))]
    return Container(file_map.header, tiles, file_map.chunks)


def locate_tiles(data: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> FileMap:
    """Parse header and chunks before the first tile, and locate the tiles.

    Raises the errors of parse_container, except for damage inside a tile, which read_tile reports.
    """
    reader = Reader(data)
    header = read_header(reader, limits)
    # Least size of all tiles: this check bounds every allocation below by the size of the file.
    least = header.tiles * wire.chunk_size(MIN_TILE_BYTES)
    if reader.left < least:
        msg = (
            f"tiles: {header.width} x {header.height} pixels take {header.tiles} tiles of at least {least} "
            f"bytes in all, {reader.left} bytes are left; the file was cut short, fetch it again"
        )
        raise TruncatedData(msg, field="tiles", offset=reader.offset)
    found = _read_chunks(reader, limits)
    _check_alpha(found, header)
    sizes = _tile_sizes(reader, found, header.tiles)
    spans, offset = [], reader.offset
    for size in sizes:
        spans.append(Span(offset, wire.chunk_size(size)))
        offset += wire.chunk_size(size)
    _check_end(reader, offset)
    return FileMap(header, found, spans)


def read_tile(data: bytes | memoryview, file_map: FileMap, index: int) -> TilePayload | LosslessTile:
    """Parse one tile and check its CRC-32; other tiles are not read.

    index: in raster order.

    Raises TruncatedData, ChecksumMismatch, CorruptPayload or UnsupportedVersion.
    """
    span = file_map.spans[index]
    reader = Reader(memoryview(data).cast("B")[: span.offset + span.n_bytes], span.offset)
    chunk = wire.read_chunk(reader)
    if chunk.kind not in _TILES:
        _refuse_unknown(chunk)
        msg = f"tile {index} at byte {span.offset}: a {chunk.name} chunk is in its place"
        raise CorruptPayload(msg, field="tile", offset=span.offset)
    if reader.left:
        msg = f"tile {index} at byte {span.offset}: the index gives another length; the file is damaged"
        raise CorruptPayload(msg, field="tile", offset=span.offset)
    if chunk.kind == wire.TILE:
        return parse_tile(chunk.payload, index)
    header = file_map.header
    tile = tile_at(header.width, header.height, header.tile_size, index)
    return parse_lossless_tile(chunk.payload, index, tile.width, tile.height)


def read_info(data: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Describe a whole file without reading its tiles. Raises the errors of locate_tiles."""
    file_map = locate_tiles(data, limits)
    header, view = file_map.header, memoryview(data).cast("B")
    return ImageInfo(
        width=header.width,
        height=header.height,
        layout=header.mode,
        gray=header.is_gray,
        bit_depth=BIT_DEPTHS[header.depth],
        quality=None,
        rate_index=header.rate_index,
        model_id=header.model_id.hex(),
        tile_size=header.tile_size,
        tiles=header.tiles,
        lossless_tiles=sum(view[span.offset] == wire.LOSSLESS_TILE for span in file_map.spans),
        n_bytes=view.nbytes,
        version=f"{VERSION[0]}.{VERSION[1]}",
        chunks=tuple((chunk.name, len(chunk.payload)) for chunk in file_map.chunks),
    )


def _read_chunks(reader: Reader, limits: Limits) -> list[wire.Chunk]:
    """Read the chunks before the first tile; INDEX, if there is one, is the last of them."""
    found: list[wire.Chunk] = []
    metadata = 0
    while not found or found[-1].kind != wire.INDEX:
        if reader.left and reader.data[reader.offset] in _TILES:
            break
        chunk = wire.read_chunk(reader)
        _refuse_unknown(chunk)
        found.append(chunk)
        limits.check_chunks(len(found))
        metadata += len(chunk.payload) if chunk.kind & wire.ANCILLARY else 0
        limits.check_metadata(metadata)
    return found


def _tile_sizes(reader: Reader, found: list[wire.Chunk], tiles: int) -> list[int]:
    """Return the payload length of every tile: from the index, or from the chunk of a single tile."""
    has_index = bool(found) and found[-1].kind == wire.INDEX
    if has_index != (tiles > 1):
        msg = (
            f"index: {'present' if has_index else 'missing'} in a file of {tiles} tiles; the file is damaged"
        )
        raise CorruptPayload(msg, field="index", offset=reader.offset)
    if not has_index:
        peek = Reader(reader.data, reader.offset + 1)
        return [peek.varint("chunk length")]
    payload = Reader(found[-1].payload)
    try:
        sizes = [payload.varint("index") for _ in range(tiles)]
    except TruncatedData:
        sizes = []
    if not sizes or payload.left:
        msg = f"index: it does not hold exactly {tiles} lengths; the file is damaged"
        raise CorruptPayload(msg, field="index", offset=found[-1].offset)
    return sizes


def _check_end(reader: Reader, end: int) -> None:
    n_bytes = len(reader.data)
    if n_bytes < end:
        msg = f"tiles: the file should have {end} bytes, it has {n_bytes}; it was cut short, fetch it again"
        raise TruncatedData(msg, field="tiles", offset=n_bytes)
    if n_bytes > end:
        msg = f"end of file: {n_bytes - end} bytes follow the last tile at byte {end}; remove them"
        raise CorruptPayload(msg, field="end", offset=end)


def _check_alpha(found: list[wire.Chunk], header: Header) -> None:
    """Raise CorruptPayload if ALPHA is missing, superfluous or not directly before index and tiles."""
    critical = [chunk.kind for chunk in found if not chunk.kind & wire.ANCILLARY]
    after = found[-len(critical) :] if critical else []
    if critical.count(wire.ALPHA) != header.has_alpha or [c.kind for c in after] != critical:
        msg = f"alpha: missing, superfluous or misplaced in a picture of layout {header.mode}"
        raise CorruptPayload(f"{msg}; the file is damaged", field="alpha")


def _refuse_unknown(chunk: wire.Chunk) -> None:
    if not chunk.kind & wire.ANCILLARY and chunk.kind not in _KNOWN:
        msg = f"chunk {chunk.name} at byte {chunk.offset}: this release cannot decode it; install a newer one"
        raise UnsupportedVersion(msg, field="chunk", offset=chunk.offset)
