"""The payloads of tiles, learned and lossless, and of alpha (FORMAT.md sections 4.2, 4.4 and 4.5).

Lossless samples are VP8L image streams (RFC 9649, section 3) without the RIFF container of WebP.
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

FLAG_LIFT = 1
MIN_TILE_BYTES = 6

_TILE_HEAD = struct.Struct("<BbI")
_VP8L_SIGNATURE = 0x2F
_VP8L_MIN_BYTES = 6
# Signature, then width - 1 and height - 1 in 14 bits each, a flag of alpha and the version.
_VP8L_HEAD = struct.Struct("<BI")
# RIFF and chunk headers before the stream.
_WEBP_HEAD_BYTES = 20


@dataclass(frozen=True)
class TilePayload:
    """A learned tile (FORMAT.md section 4.2).

    flags: FLAG_LIFT or 0. rate_offset: -128..127, in 1/16 of the step between rate points. crc: CRC-32 of the
    symbols. words: little-endian 32-bit words of the range coder.
    """

    flags: int
    rate_offset: int
    crc: int
    words: bytes | memoryview

    @property
    def lift(self) -> bool:
        """True if scale index 0 is raised to 1, so that every residual is coded."""
        return bool(self.flags & FLAG_LIFT)

    def rate_index(self, header_rate_index: int) -> int:
        """Return the tile's own rate index, 0..2560."""
        return tile_rate_index(header_rate_index, self.rate_offset)

    def pack(self) -> bytes:
        """Return the payload of the TILE chunk. Raises UsageError for a field outside its range."""
        if self.flags & ~FLAG_LIFT or len(self.words) % 4:
            msg = f"tile: flags {self.flags} must be 0 or 1, and words, {len(self.words)} bytes, whole"
            raise UsageError(msg, field="tile")
        try:
            return _TILE_HEAD.pack(self.flags, self.rate_offset, self.crc) + bytes(self.words)
        except struct.error:
            msg = "tile: rate_offset must lie in -128..127 and crc in 0..2**32 - 1"
            raise UsageError(msg, field="tile") from None


def parse_tile(payload: bytes | memoryview, index: int) -> TilePayload:
    """Parse the payload of a TILE chunk. index: of the tile, for messages.

    Raises CorruptPayload for an impossible length, UnsupportedVersion for an unknown flag.
    """
    view = memoryview(payload)
    if len(view) < MIN_TILE_BYTES or (len(view) - MIN_TILE_BYTES) % 4:
        msg = f"tile {index}: {len(view)} bytes are not 6 plus a multiple of 4; the file is damaged"
        raise CorruptPayload(msg, field="tile")
    flags, rate_offset, crc = _TILE_HEAD.unpack(view[:MIN_TILE_BYTES])
    if flags & ~FLAG_LIFT:
        msg = f"tile {index}: flags 0x{flags:02x} use a feature this release lacks; install a newer one"
        raise UnsupportedVersion(msg, field="tile")
    return TilePayload(flags, rate_offset, crc, view[MIN_TILE_BYTES:])


@dataclass(frozen=True)
class LosslessTile:
    """A tile whose samples are stored exactly. stream: a bare VP8L stream (FORMAT.md section 4.4)."""

    stream: bytes | memoryview

    def pack(self) -> bytes:
        """Return the payload of the LOSSLESS_TILE chunk."""
        return bytes(self.stream)


def parse_lossless_tile(payload: bytes | memoryview, index: int, width: int, height: int) -> LosslessTile:
    """Parse the payload of a LOSSLESS_TILE chunk. index: of the tile, for messages.

    Raises CorruptPayload unless it starts as a VP8L stream of width x height pixels.
    """
    view = memoryview(payload)
    check_vp8l(view, width, height, f"tile {index}")
    return LosslessTile(view)


def pack_alpha(parts: Sequence[bytes]) -> bytes:
    """Return the payload of the ALPHA chunk (FORMAT.md section 4.5).

    parts: of all tiles in raster order, each one byte, the value of all its samples, or a VP8L stream.
    """
    if len(parts[0]) == 1 and all(part == parts[0] for part in parts):
        return parts[0]
    return b"".join(varint(len(part)) + part for part in parts)


def parse_alpha(payload: memoryview, tiles: Sequence[Tile]) -> list[memoryview]:
    """Split the payload of the ALPHA chunk into the parts of all tiles.

    A part is one byte or a VP8L stream of the tile's size. Raises CorruptPayload for any other payload.
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


def check_vp8l(stream: memoryview, width: int, height: int, where: str) -> None:
    """Check, before allocation, that a VP8L stream declares width x height pixels and version 0.

    where: prefix of messages, such as 'tile 3'. Raises CorruptPayload.
    """
    if len(stream) < _VP8L_MIN_BYTES or stream[0] != _VP8L_SIGNATURE:
        raise CorruptPayload(f"{where}: this is not a lossless stream; the file is damaged", field="lossless")
    _, bits = _VP8L_HEAD.unpack(stream[: _VP8L_HEAD.size])
    found = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    # Bits 29 to 31 are the version, which must be 0.
    if found != (width, height) or bits >> 29:
        msg = f"{where}: the lossless stream has {found[0]}x{found[1]} pixels, {width}x{height} are due"
        raise CorruptPayload(msg, field="lossless")


def wrap_webp(stream: bytes | memoryview) -> bytes:
    """Return a WebP file that holds a VP8L stream."""
    body = b"WEBPVP8L" + len(stream).to_bytes(4, "little") + stream + bytes(len(stream) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def unwrap_webp(data: bytes) -> bytes:
    """Return the VP8L stream of a WebP file that holds nothing else."""
    size = int.from_bytes(data[16:_WEBP_HEAD_BYTES], "little")
    return data[_WEBP_HEAD_BYTES : _WEBP_HEAD_BYTES + size]
