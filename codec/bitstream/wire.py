"""Bounded reading of bytes, variable-length integers and chunks (FORMAT.md sections 1.2 and 3)."""

from __future__ import annotations

import os
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from codec.errors import ChecksumMismatch, CodecError, CorruptPayload, TruncatedData, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


Data: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]


@contextmanager
def given(data: Data) -> Iterator[memoryview]:
    """Give the bytes of a file, uint8 [N], of its bytes or its path.

    What is raised within about a path begins with it. Raises UsageError for anything else, OSError for a file
    that cannot be read.
    """
    if not isinstance(data, (str, os.PathLike)):
        yield _view(data)
        return
    name = os.fspath(data)
    if not isinstance(name, str) or "\0" in name:
        raise UsageError("no path of a file; pass the bytes of a .vae file as bytes", field="data")
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
        advice = "; decode_from() reads open files" if hasattr(data, "read") else ""
        raise UsageError(
            f"cannot read {type(data).__name__}; pass the bytes or the path of a .vae file{advice}",
            field="data",
        ) from None


VARINT_MAX = (1 << 32) - 1
VARINT_BYTES = 5


class Reader:
    """A cursor over bytes that never reads past the end and never copies."""

    def __init__(self, data: bytes | memoryview, offset: int = 0) -> None:
        self.data = memoryview(data).cast("B")
        self.offset = offset

    @property
    def left(self) -> int:
        """How many bytes follow the cursor."""
        return len(self.data) - self.offset

    def take(self, n_bytes: int, field: str) -> memoryview:
        """Return the next bytes. Raises TruncatedData, naming the field, where there are fewer."""
        if self.left < n_bytes:
            msg = (
                f"{field} at byte {self.offset}: {n_bytes} bytes are due, {self.left} are left; "
                "the file was cut short, fetch it again"
            )
            raise TruncatedData(msg, field=field, offset=self.offset)
        self.offset += n_bytes
        return self.data[self.offset - n_bytes : self.offset]

    def uint(self, n_bytes: int, field: str) -> int:
        """Return an unsigned little-endian integer of so many bytes."""
        return int.from_bytes(self.take(n_bytes, field), "little")

    def varint(self, field: str) -> int:
        """Return an integer in 0..2**32 - 1 in its shortest form.

        Raises CorruptPayload for a longer form or a larger number.
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
    """Return the LEB128 form of an integer in 0..2**32 - 1: 1 to 5 bytes."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


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
