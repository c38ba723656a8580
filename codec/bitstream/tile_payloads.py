"""The payloads of tiles, learned and lossless, and of alpha (FORMAT.md sections 4.2, 4.4 and 4.5).

RFC 9649 section 3. A .vae file holds the bare stream (FORMAT.md section 4.4).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codec.bitstream.rate_index import tile_rate_index
from codec.bitstream.wire import Reader, varint
from codec.errors import CorruptPayload, TruncatedData, UnsupportedVersion, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codec.bitstream.geometry import Tile

SIGNATURE = 0x2F
MIN_BYTES = 6
HEADER_BYTES = 20

_HEADER = struct.Struct("<BI")


def check_vp8l(stream: memoryview, width: int, height: int, where: str) -> None:
    """Refuse a stream that does not begin as one of width x height pixels, before anything is allocated.

    Raises CorruptPayload, naming `where` it stands.
    """
    if len(stream) < MIN_BYTES or stream[0] != SIGNATURE:
        raise CorruptPayload(f"{where}: no lossless stream is there; the file is damaged", field="lossless")
    _, bits = _HEADER.unpack(stream[: _HEADER.size])
    found = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    # Bits 29 to 31 are a version, which must be 0.
    if found != (width, height) or bits >> 29:
        msg = f"{where}: the lossless stream is of {found[0]}x{found[1]} pixels, {width}x{height} are due"
        raise CorruptPayload(msg, field="lossless")


def wrap_webp(stream: bytes | memoryview) -> bytes:
    """Return a stream as a WebP file."""
    body = b"WEBPVP8L" + len(stream).to_bytes(4, "little") + stream + bytes(len(stream) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def unwrap_webp(data: bytes) -> bytes:
    """Return the stream of a WebP file that holds nothing else."""
    size = int.from_bytes(data[16:HEADER_BYTES], "little")
    return data[HEADER_BYTES : HEADER_BYTES + size]


FLAG_LIFT = 1
MIN_TILE_BYTES = 6

_HEAD = struct.Struct("<BbI")


@dataclass(frozen=True)
class TilePayload:
    """One tile: how its symbols are coded, their CRC-32 and the coder's words.

    flags: FLAG_LIFT or 0. rate_offset: -128..127, in 1/16 of the step between rate points. crc: CRC-32 of the
    symbols. words: little-endian 32-bit words of the range coder.
    """

    flags: int
    rate_offset: int
    crc: int
    words: bytes | memoryview

    @property
    def lift(self) -> bool:
        """Whether scale index 0 is raised to 1, so that every residual is coded."""
        return bool(self.flags & FLAG_LIFT)

    def rate_index(self, header_rate_index: int) -> int:
        """Return the tile's own rate index, 0..2560."""
        return tile_rate_index(header_rate_index, self.rate_offset)

    def pack(self) -> bytes:
        """Return the payload of the tile's chunk. Raises UsageError for a field outside its range."""
        if self.flags & ~FLAG_LIFT or len(self.words) % 4:
            msg = f"tile: flags {self.flags} must be 0 or 1, and words, {len(self.words)} bytes, whole"
            raise UsageError(msg, field="tile")
        try:
            return _HEAD.pack(self.flags, self.rate_offset, self.crc) + bytes(self.words)
        except struct.error:
            msg = "tile: rate_offset must lie in -128..127 and crc in 0..2**32 - 1"
            raise UsageError(msg, field="tile") from None


def parse_tile(payload: bytes | memoryview, index: int) -> TilePayload:
    """Read the payload of the chunk of the index-th tile.

    Raises CorruptPayload for a length no tile has, UnsupportedVersion for a flag this release does not know.
    """
    view = memoryview(payload)
    if len(view) < MIN_TILE_BYTES or (len(view) - MIN_TILE_BYTES) % 4:
        msg = f"tile {index}: {len(view)} bytes are not 6 plus a multiple of 4; the file is damaged"
        raise CorruptPayload(msg, field="tile")
    flags, rate_offset, crc = _HEAD.unpack(view[:MIN_TILE_BYTES])
    if flags & ~FLAG_LIFT:
        msg = f"tile {index}: flags 0x{flags:02x} use a feature this release lacks; install a newer one"
        raise UnsupportedVersion(msg, field="tile")
    return TilePayload(flags, rate_offset, crc, view[MIN_TILE_BYTES:])


@dataclass(frozen=True)
class LosslessTile:
    """One tile whose samples are stored exactly: a VP8L image stream without any container around it."""

    stream: bytes | memoryview

    def pack(self) -> bytes:
        """Return the payload of the tile's chunk."""
        return bytes(self.stream)


def parse_lossless_tile(payload: bytes | memoryview, index: int, width: int, height: int) -> LosslessTile:
    """Read the payload of a LOSSLESS_TILE chunk of so many pixels.

    Raises CorruptPayload where it does not announce a VP8L stream of just this size.
    """
    view = memoryview(payload)
    check_vp8l(view, width, height, f"tile {index}")
    return LosslessTile(view)


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
