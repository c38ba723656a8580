"""The records of a .vaes stream as bytes (STREAM.md sections 2 and 3)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from codec.bitstream.wire import varint

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNATURE = b"\x97VAS\r\n\x1a\n"
VERSION = 0x01
START = SIGNATURE + bytes([VERSION])
MARK = 0xF7
FRAME = bytes([MARK, 0x46])
END = bytes([MARK, 0x45])
CRC_BYTES = 4
# Mark, two varints of at most five bytes, CRC-32.
MAX_HEAD_BYTES = 2 + 5 + 5 + CRC_BYTES
MAX_FRAME_BYTES = 1 << 30
DEFAULT_FRAME_BYTES = 64 << 20


def frame_head(number: int, n_bytes: int) -> bytes:
    """Return what precedes the file of frame `number`, which takes `n_bytes`."""
    return _sealed(FRAME + varint(number) + varint(n_bytes))


def end_record(count: int, sizes: Sequence[int]) -> bytes:
    """Return the end of a stream of `count` frames. sizes: bytes of each frame record, or none at all."""
    index = b"".join(varint(size) for size in sizes)
    record = _sealed(END + varint(count) + varint(len(index)) + index)
    return record + len(record).to_bytes(4, "little")


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
