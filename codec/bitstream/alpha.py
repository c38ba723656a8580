"""The payload of the ALPHA chunk (FORMAT.md section 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codec.bitstream.vp8l import check_vp8l
from codec.bitstream.wire import Reader, varint
from codec.errors import CorruptPayload, TruncatedData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codec.bitstream.geometry import Tile


def pack_alpha(parts: Sequence[bytes]) -> bytes:
    """Return the payload from the parts of all tiles in raster order.

    A part is one byte, the value of all its samples, or a VP8L stream.
    """
    if len(parts[0]) == 1 and all(part == parts[0] for part in parts):
        return parts[0]
    return b"".join(varint(len(part)) + part for part in parts)


def parse_alpha(payload: memoryview, tiles: Sequence[Tile]) -> list[memoryview]:
    """Split the payload into the parts of all tiles, each of one byte or a stream of the tile's size.

    Raises CorruptPayload for anything else.
    """
    if len(payload) == 1:
        return [payload] * len(tiles)
    reader = Reader(payload)
    parts = []
    try:
        for tile in tiles:
            part = reader.take(reader.varint("alpha"), "alpha")
            if len(part) != 1:
                check_vp8l(part, tile.width, tile.height, f"alpha of tile {tile.index}")
            parts.append(part)
    except TruncatedData:
        reader.offset = -1
    if reader.left:
        msg = f"alpha: it does not hold exactly {len(tiles)} tiles; the file is damaged"
        raise CorruptPayload(msg, field="alpha")
    return parts
