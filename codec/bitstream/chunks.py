"""Chunks: type, length, payload, CRC-32 (FORMAT.md section 3)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from codec.bitstream.wire import VARINT_MAX, varint
from codec.errors import ChecksumMismatch, UsageError

if TYPE_CHECKING:
    from codec.bitstream.wire import Reader

ANCILLARY = 0x80
TILE, INDEX = 0x01, 0x02
ALPHA, LOSSLESS_TILE, ANIMATION = 0x03, 0x04, 0x05
ICC, EXIF, XMP, TEXT, DENSITY = 0x81, 0x82, 0x83, 0x84, 0x85

NAMES = {
    TILE: "TILE",
    INDEX: "INDEX",
    ALPHA: "ALPHA",
    LOSSLESS_TILE: "LOSSLESS_TILE",
    ANIMATION: "ANIMATION",
    ICC: "ICC",
    EXIF: "EXIF",
    XMP: "XMP",
    TEXT: "TEXT",
    DENSITY: "DENSITY",
}


class Chunk(NamedTuple):
    """One chunk: its type 0..255, its payload, and the byte of the file at which it starts."""

    kind: int
    payload: memoryview
    offset: int

    @property
    def name(self) -> str:
        """The name of the type, or its number where this release knows no name."""
        return chunk_name(self.kind)


def chunk_name(kind: int) -> str:
    """Return the name of a chunk type, or its number where this release knows no name."""
    return NAMES.get(kind, f"0x{kind:02x}")


def pack_chunk(kind: int, payload: bytes) -> bytes:
    """Return a whole chunk. Raises UsageError for a payload of 4 GiB or more."""
    if len(payload) > VARINT_MAX:
        msg = f"chunk {chunk_name(kind)}: {len(payload)} bytes are too many, the format holds {VARINT_MAX}"
        raise UsageError(msg, field="chunk")
    body = bytes([kind]) + varint(len(payload)) + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


def chunk_size(payload_size: int) -> int:
    """Return how many bytes a chunk with so large a payload takes in the file."""
    return 1 + len(varint(payload_size)) + payload_size + 4


def read_chunk(reader: Reader) -> Chunk:
    """Read one chunk and check its CRC before anything is made of its type.

    Raises TruncatedData, ChecksumMismatch, or CorruptPayload for a malformed length.
    """
    start = reader.offset
    kind = reader.uint(1, "chunk type")
    payload = reader.take(reader.varint("chunk length"), "chunk payload")
    body = reader.data[start : reader.offset]
    if zlib.crc32(body) != reader.uint(4, "chunk CRC"):
        msg = f"chunk {chunk_name(kind)} at byte {start}: the CRC-32 disagrees with the bytes"
        raise ChecksumMismatch(msg + "; the file is damaged, fetch it again", field="chunk", offset=start)
    return Chunk(kind, payload, start)
