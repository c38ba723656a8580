"""Bounded reading of bytes, varints and chunks (FORMAT.md sections 1.2 and 3)."""

from __future__ import annotations

import os
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from codec.errors import ChecksumMismatch, CodecError, CorruptPayload, TruncatedData, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT_MAX = (1 << 32) - 1
VARINT_BYTES = 5

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

Data: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]


class Reader:
    """A cursor over bytes that never reads past their end and never copies.

    data: the bytes. offset: position of the cursor.
    """

    def __init__(self, data: bytes | memoryview, offset: int = 0) -> None:
        self.data = memoryview(data).cast("B")
        self.offset = offset

    @property
    def left(self) -> int:
        """Number of bytes after the cursor."""
        return len(self.data) - self.offset

    def take(self, n_bytes: int, field: str) -> memoryview:
        """Return the next n_bytes. Raises TruncatedData, naming `field`, if fewer are left."""
        if self.left < n_bytes:
            msg = (
                f"{field} at byte {self.offset}: {n_bytes} bytes are due, {self.left} are left; "
                "the file was cut short, fetch it again"
            )
            raise TruncatedData(msg, field=field, offset=self.offset)
        self.offset += n_bytes
        return self.data[self.offset - n_bytes : self.offset]

    def uint(self, n_bytes: int, field: str) -> int:
        """Return the next n_bytes as an unsigned little-endian integer. Raises TruncatedData."""
        return int.from_bytes(self.take(n_bytes, field), "little")

    def varint(self, field: str) -> int:
        """Return the next varint, 0..2**32 - 1 (FORMAT.md section 1.2).

        Raises CorruptPayload for a number that is too large or not in its shortest form, TruncatedData.
        """
        start, value = self.offset, 0
        for i in range(VARINT_BYTES):
            byte = self.uint(1, field)
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                if value > VARINT_MAX or (byte == 0 and i > 0):
                    break
                return value
        msg = f"{field} at byte {start}: not the shortest form of a number below 2**32; the file is damaged"
        raise CorruptPayload(msg, field=field, offset=start)


def varint(value: int) -> bytes:
    """Encode an integer in 0..2**32 - 1 as a varint of 1 to 5 bytes."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Chunk(NamedTuple):
    """One chunk. kind: its type, 0..255. offset: position in the file at which it starts."""

    kind: int
    payload: memoryview
    offset: int

    @property
    def name(self) -> str:
        """The name of the type, or its number if the type is unknown."""
        return chunk_name(self.kind)


def chunk_name(kind: int) -> str:
    """Return the name of a chunk type, or its number, such as '0x7f', if the type is unknown."""
    return NAMES.get(kind, f"0x{kind:02x}")


def pack_chunk(kind: int, payload: bytes) -> bytes:
    """Return the bytes of a chunk. Raises UsageError for a payload of 4 GiB or more."""
    if len(payload) > VARINT_MAX:
        msg = f"chunk {chunk_name(kind)}: {len(payload)} bytes are too many, the format allows {VARINT_MAX}"
        raise UsageError(msg, field="chunk")
    body = bytes([kind]) + varint(len(payload)) + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


def chunk_size(payload_size: int) -> int:
    """Return the size in bytes of a chunk with a payload of payload_size bytes."""
    return 1 + len(varint(payload_size)) + payload_size + 4


def read_chunk(reader: Reader) -> Chunk:
    """Read one chunk and check its CRC-32; the type may be unknown.

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


@contextmanager
def given(data: Data) -> Iterator[memoryview]:
    """Yield the bytes of a .vae file, a view uint8 [N], given its bytes or its path.

    A CodecError raised inside the block gets the path as a prefix. Raises UsageError for any other argument,
    OSError for a file that cannot be read.
    """
    if not isinstance(data, (str, os.PathLike)):
        yield _view(data)
        return
    name = os.fspath(data)
    if not isinstance(name, str) or "\0" in name:
        raise UsageError("not the path of a file; pass the contents of a .vae file as bytes", field="data")
    view = memoryview(Path(name).read_bytes())
    try:
        yield view
    except CodecError as error:
        raise type(error)(f"{name}: {error}", field=error.field, offset=error.offset) from error


def _view(data: bytes | bytearray | memoryview) -> memoryview:
    try:
        view = memoryview(data)
        return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    except TypeError:
        advice = "; use decode_from() for open files" if hasattr(data, "read") else ""
        raise UsageError(
            f"cannot read {type(data).__name__}; pass the bytes or the path of a .vae file{advice}",
            field="data",
        ) from None
