"""The payloads of tile chunks, learned and lossless (FORMAT.md sections 4.2 and 4.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from codec.bitstream.quality import tile_rate_index
from codec.bitstream.vp8l import check_vp8l
from codec.errors import CorruptPayload, UnsupportedVersion, UsageError

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
