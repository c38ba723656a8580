"""Write pictures into one stream."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Self

from codec.bitstream.header import SIGNATURE as FILE_SIGNATURE
from codec.errors import UsageError
from codec.files import write_all
from codec.stream.records import MAX_FRAME_BYTES, START, end_record, frame_head

if TYPE_CHECKING:
    from types import TracebackType


class Writer:
    """Writes .vae files into one stream, each flushed as it is written.

    fp: an open file, pipe or socket file, which stays open. A write that its reader cannot take yet waits:
    this is what holds a fast producer back. As a context manager it closes the stream, unless the block
    fails: a stream without its end is known to be cut short.
    index: write an index of all frames at the end; by default where fp can seek, and so can its readers.
    """

    def __init__(self, fp: IO[bytes], *, index: bool | None = None) -> None:
        self._fp = fp
        self._indexed = bool(_can_seek(fp) if index is None else index)
        self._sizes: list[int] = []
        self._count = 0
        self._closed = False
        write_all(fp, START)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write one whole .vae file, as `Encoder.encode` returns it, and flush; return its number.

        Raises UsageError for other data and after close(), and what fp.write raises.
        """
        if self._closed:
            raise UsageError("the stream has its end; start another one")
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
        """Write the end, and the index where there is one. fp stays open; a second call does nothing."""
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
