"""Find the intact chunks of a damaged file and the tiles in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from codec.bitstream import wire
from codec.bitstream.container import FileMap, Span, read_tile
from codec.bitstream.header import Header, read_header
from codec.bitstream.wire import Reader
from codec.errors import CodecError, LimitExceeded, TruncatedData
from codec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codec.bitstream.tile_payloads import LosslessTile, TilePayload

_TILES = (wire.TILE, wire.LOSSLESS_TILE)
_TYPE_BYTE = re.compile(b"[%s]" % re.escape(bytes(kind for kind in wire.NAMES if kind != wire.ANIMATION)))
# The search for sound chunks may checksum _SEARCH_FACTOR bytes per byte of the file plus _SEARCH_BYTES. This
# suffices for any accidental damage and bounds the time for files made to look like chunks everywhere.
_SEARCH_FACTOR, _SEARCH_BYTES = 64, 1 << 20


class SalvagedParts(NamedTuple):
    """The intact parts of a file.

    chunks: those before the tiles. tiles: in raster order, None for a lost tile. notes: other damage, in
    words.
    """

    header: Header
    chunks: list[wire.Chunk]
    tiles: list[TilePayload | LosslessTile | None]
    notes: list[str]


class _Piece(NamedTuple):
    """A part of the file: a sound chunk, a damaged chunk, or a gap of unknown content.

    kind: type of the chunk, None for a gap. chunk: None unless it is sound. end: offset of the next piece.
    """

    kind: int | None
    chunk: wire.Chunk | None
    end: int


def salvage_parts(data: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> SalvagedParts:
    """Find the intact parts of a file whose header is intact.

    Tiles are located by the index if it is intact, otherwise chunk by chunk; after a damaged length, the next
    sound chunk is searched byte by byte. A tile whose position in the picture is uncertain counts as lost.
    Raises a FormatError subclass if the header or nearly all of the file is lost, LimitExceeded.
    """
    reader = Reader(data)
    header = read_header(reader, limits)
    if header.tiles > len(reader.data):
        msg = f"tiles: the file has fewer bytes than its {header.tiles} tiles; fetch it again"
        raise TruncatedData(msg, field="tiles", offset=len(reader.data))
    pieces = list(_scan(reader, header))
    others = [p for p in pieces if p.kind not in _TILES]
    found = [p.chunk for p in others if p.chunk is not None and p.kind != wire.INDEX]
    limits.check_chunks(len(found))
    limits.check_metadata(sum(len(c.payload) for c in found if c.kind & wire.ANCILLARY))
    notes = [f"chunk {wire.chunk_name(p.kind)} is damaged" for p in others if p.kind and not p.chunk]
    indexed = _spans_by_index(pieces, header)
    if indexed is None and header.tiles > 1:
        notes.append("the index is damaged")
    spans = _spans_by_order(pieces, header, len(reader.data)) if indexed is None else indexed
    if spans[-1] is not None and spans[-1].offset + spans[-1].n_bytes < len(reader.data):
        notes.append("bytes follow the last tile")
    return SalvagedParts(header, found, _read_tiles(reader.data, header, spans), notes)


def _scan(reader: Reader, header: Header) -> Iterator[_Piece]:
    data = reader.data
    effort = _SEARCH_FACTOR * len(data) + _SEARCH_BYTES
    offset = reader.offset
    while offset < len(data):
        piece = _piece_at(data, offset)
        if piece is None:
            # The length here cannot be trusted: search for the next sound chunk.
            start = offset
            for match in _TYPE_BYTE.finditer(data, start + 1):
                size = _size_at(data, match.start())
                effort -= size
                if effort < 0:
                    break
                if size and _sound_at(data, match.start()):
                    offset = match.start()
                    break
            yield _Piece(None, None, offset if offset > start else len(data))
            if offset == start:
                return
            continue
        yield piece
        offset = piece.end


def _piece_at(data: memoryview, offset: int) -> _Piece | None:
    """Return the chunk at an offset, sound or damaged; None if its length cannot be trusted.

    The length of a damaged chunk is trusted if the file ends there or a sound chunk follows.
    """
    chunk = _sound_at(data, offset)
    if chunk is not None:
        return _Piece(chunk.kind, chunk, offset + wire.chunk_size(len(chunk.payload)))
    size = _size_at(data, offset)
    end = offset + size
    if data[offset] in wire.NAMES and size and (end == len(data) or _sound_at(data, end)):
        return _Piece(data[offset], None, end)
    return None


def _sound_at(data: memoryview, offset: int) -> wire.Chunk | None:
    try:
        return wire.read_chunk(Reader(data, offset))
    except CodecError:
        return None


def _size_at(data: memoryview, offset: int) -> int:
    """Return the size in bytes that the chunk at an offset declares, 0 if the file is shorter."""
    reader = Reader(data, offset + 1)
    try:
        reader.take(reader.varint("chunk length") + 4, "chunk")
    except CodecError:
        return 0
    return reader.offset - offset


def _spans_by_index(pieces: list[_Piece], header: Header) -> list[Span | None] | None:
    """Return the spans of all tiles from the index, or None if it is missing or damaged."""
    index = next((p for p in pieces if p.kind == wire.INDEX and p.chunk is not None), None)
    if index is None or index.chunk is None:
        return None
    payload, offset = Reader(index.chunk.payload), index.end
    spans: list[Span | None] = []
    try:
        for _ in range(header.tiles):
            size = wire.chunk_size(payload.varint("index"))
            spans.append(Span(offset, size))
            offset += size
    except CodecError:
        return None
    return None if payload.left else spans


def _spans_by_order(pieces: list[_Piece], header: Header, end: int) -> list[Span | None]:
    """Return the spans of all tiles by counting chunks; None for tiles that are damaged or uncertain.

    Tiles before the first gap count from the start, those after the last gap from the end of the file, if a
    chunk ends there.
    """
    tiles, last = header.tiles, pieces[-1].end if pieces else 0
    tile_pieces = [p for p in pieces if p.kind in _TILES or p.kind is None]
    sound = [_span(p) for p in tile_pieces if p.chunk is not None]
    if len(sound) == tiles:
        return list(sound)
    gaps = [i for i, p in enumerate(tile_pieces) if p.kind is None]
    before = tile_pieces[: gaps[0]] if gaps else tile_pieces
    after = tile_pieces[gaps[-1] + 1 :] if gaps and last == end else []
    if len(before) + len(after) > tiles:
        return [None] * tiles
    missing: list[Span | None] = [None] * (tiles - len(before) - len(after))
    return [*map(_span, before), *missing, *map(_span, after)]


def _span(piece: _Piece) -> Span | None:
    if piece.chunk is None:
        return None
    return Span(piece.chunk.offset, piece.end - piece.chunk.offset)


def _read_tiles(
    data: memoryview, header: Header, spans: list[Span | None]
) -> list[TilePayload | LosslessTile | None]:
    file_map = FileMap(header, [], [span or Span(len(data), 0) for span in spans])
    tiles: list[TilePayload | LosslessTile | None] = []
    for index in range(len(spans)):
        try:
            tiles.append(read_tile(data, file_map, index))
        except LimitExceeded:
            raise
        except CodecError:
            tiles.append(None)
    return tiles
