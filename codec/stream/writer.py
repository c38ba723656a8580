"""Write .vae files to a .vaes stream (STREAM.md sections 1 to 3)."""

from __future__ import annotations

import zlib
from typing import IO, TYPE_CHECKING, Self

from codec.bitstream.header import SIGNATURE as FILE_SIGNATURE
from codec.bitstream.wire import varint
from codec.errors import UsageError
from codec.io.files import write_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

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
    """Return the head of a frame. number: of the frame, from 0. n_bytes: size of its file."""
    return _sealed(FRAME + varint(number) + varint(n_bytes))


def end_record(count: int, sizes: Sequence[int]) -> bytes:
    """Return the end of a stream of `count` frames.

    sizes: bytes of every frame record, for an index; empty for none.
    """
    index = b"".join(varint(size) for size in sizes)
    record = _sealed(END + varint(count) + varint(len(index)) + index)
    return record + len(record).to_bytes(4, "little")


def _sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


class Writer:
    """Writes .vae files to a stream and flushes after each.

    fp: an open file, pipe or socket file, which stays open. Writes block while its reader is busy, which
    slows a fast producer down. As a context manager it closes the stream, unless the block raises: readers
    then see that the stream was cut short.
    index: whether to write an index of all frames at the end; by default if fp can seek.
    """

    def __init__(self, fp: IO[bytes], *, index: bool | None = None) -> None:
        self._fp = fp
        self._indexed = bool(_can_seek(fp) if index is None else index)
        self._sizes: list[int] = []
        self._count = 0
        self._closed = False
        write_all(fp, START)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write one .vae file, as returned by `Encoder.encode`, and flush; return its frame number.

        Raises UsageError for other data and after close(), and the errors of fp.write.
        """
        if self._closed:
            raise UsageError("this stream is closed; start another one")
        view = memoryview(data).cast("B")
        if bytes(view[: len(FILE_SIGNATURE)]) != FILE_SIGNATURE or len(view) > MAX_FRAME_BYTES:
            raise UsageError("a frame must be the bytes of a .vae file of at most 1 GiB")
        head = frame_head(self._count, len(view))
        write_all(self._fp, head + view)
        if self._indexed:
            self._sizes.append(len(head) + len(view))
        self._count += 1
        return self._count - 1

    def close(self) -> None:
        """Write the end of the stream. fp stays open; a second call does nothing."""
        if not self._closed:
            self._closed = True
            write_all(self._fp, end_record(self._count, self._sizes))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def _can_seek(fp: IO[bytes]) -> bool:
    seekable = getattr(fp, "seekable", None)
    return bool(seekable and seekable())
