"""Find the intact chunks of a damaged file, and the tiles that they hold."""

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
_KIND = re.compile(b"[%s]" % re.escape(bytes(kind for kind in wire.NAMES if kind != wire.ANIMATION)))
# The search for the next sound chunk may checksum so many bytes for each of the file: enough for any damage,
# and an end for files that are made to look like chunks everywhere.
_EFFORT, _LEAST_EFFORT = 64, 1 << 20


class SalvagedParts(NamedTuple):
    """What is sound of a file: its header, the chunks before the tiles, and every tile or None.

    notes: what else is damaged, in words.
    """

    header: Header
    chunks: list[wire.Chunk]
    tiles: list[TilePayload | LosslessTile | None]
    notes: list[str]


class _Piece(NamedTuple):
    """A part of the file that is a chunk, sound or damaged, or a gap of unknown content.

    kind: of the chunk, or None for a gap. chunk: None where it is damaged.
    """

    kind: int | None
    chunk: wire.Chunk | None
    end: int


def salvage_parts(data: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> SalvagedParts:
    """Find all that is sound in a file whose header is.

    Chunks are found by the index if that is sound, otherwise one by one; behind a length that is damaged, the
    next sound chunk is searched. A tile whose place in the picture is in doubt counts as lost.
    Raises FormatError where header or nearly all of the file is lost, LimitExceeded.
    """
    reader = Reader(data)
    header = read_header(reader, limits)
    if header.tiles > len(reader.data):
        msg = f"tiles: less than a byte is left for each of {header.tiles} tiles; fetch the file again"
        raise TruncatedData(msg, field="tiles", offset=len(reader.data))
    pieces = list(_walk(reader, header))
    early = [p for p in pieces if p.kind not in _TILES]
    found = [p.chunk for p in early if p.chunk is not None and p.kind != wire.INDEX]
    limits.check_chunks(len(found))
    limits.check_metadata(sum(len(c.payload) for c in found if c.kind & wire.ANCILLARY))
    notes = [f"chunk {wire.chunk_name(p.kind)} is damaged" for p in early if p.kind and not p.chunk]
    indexed = _spans_by_index(pieces, header)
    if indexed is None and header.tiles > 1:
        notes.append("the index is damaged")
    spans = _spans_by_order(pieces, header, len(reader.data)) if indexed is None else indexed
    if spans[-1] is not None and spans[-1].offset + spans[-1].n_bytes < len(reader.data):
        notes.append("bytes follow the last tile")
    return SalvagedParts(header, found, _read_tiles(reader.data, header, spans), notes)


def _walk(reader: Reader, header: Header) -> Iterator[_Piece]:
    data = reader.data
    effort = _EFFORT * len(data) + _LEAST_EFFORT
    offset = reader.offset
    while offset < len(data):
        piece = _piece_at(data, offset)
        if piece is None:
            # Nothing here says where the next chunk begins.
            start = offset
            for match in _KIND.finditer(data, start + 1):
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
    """Return the chunk at a place, sound or damaged; None where its very length cannot be trusted."""
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
    """Return how many bytes the chunk at a place announces to take, 0 if more than there are."""
    reader = Reader(data, offset + 1)
    try:
        reader.take(reader.varint("chunk length") + 4, "chunk")
    except CodecError:
        return 0
    return reader.offset - offset


def _spans_by_index(pieces: list[_Piece], header: Header) -> list[Span | None] | None:
    """Return where all tiles lie, as a sound index says."""
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
    """Return where tiles lie of which it is certain: those before the first gap and those behind the last.

    Those behind count from the end of the file, if a chunk ends there.
    """
    tiles, last = header.tiles, pieces[-1].end if pieces else 0
    places = [p for p in pieces if p.kind in _TILES or p.kind is None]
    sound = [_span(p) for p in places if p.chunk is not None]
    if len(sound) == tiles:
        return list(sound)
    gaps = [i for i, p in enumerate(places) if p.kind is None]
    before = places[: gaps[0]] if gaps else places
    behind = places[gaps[-1] + 1 :] if gaps and last == end else []
    if len(before) + len(behind) > tiles:
        return [None] * tiles
    missing: list[Span | None] = [None] * (tiles - len(before) - len(behind))
    return [*map(_span, before), *missing, *map(_span, behind)]


def _span(piece: _Piece) -> Span | None:
    if piece.chunk is None:
        return None
    return Span(piece.chunk.offset, piece.end - piece.chunk.offset)


def _read_tiles(
    data: memoryview, header: Header, spans: list[Span | None]
) -> list[TilePayload | LosslessTile | None]:
    known = FileMap(header, [], [span or Span(len(data), 0) for span in spans])
    tiles: list[TilePayload | LosslessTile | None] = []
    for index in range(len(spans)):
        try:
            tiles.append(read_tile(data, known, index))
        except LimitExceeded:
            raise
        except CodecError:
            tiles.append(None)
    return tiles
