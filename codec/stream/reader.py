"""Read the frames of a .vaes stream and resume after damage (STREAM.md)."""

from __future__ import annotations

import zlib
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from codec.bitstream.container import parse_container
from codec.bitstream.wire import Reader as Fields
from codec.errors import (
    BadMagic,
    ChecksumMismatch,
    CorruptPayload,
    FormatError,
    LimitExceeded,
    TruncatedData,
    UnsupportedVersion,
    UsageError,
)
from codec.io.files import read_some
from codec.limits import UNLIMITED
from codec.stream.writer import (
    CRC_BYTES,
    DEFAULT_FRAME_BYTES,
    END,
    FRAME,
    MARK,
    MAX_FRAME_BYTES,
    MAX_HEAD_BYTES,
    SIGNATURE,
    START,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 1 << 16
_MAX_DAMAGED = 1_000


class Frame(NamedTuple):
    """One frame. number: from 0. data: the bytes of its .vae file, whose CRCs hold."""

    number: int
    data: bytes


class LostFrames(FormatError):
    """Frames are damaged or missing. frames: the range of their numbers."""

    def __init__(self, frames: range) -> None:
        which = f"frame {frames[0]} is" if len(frames) == 1 else f"frames {frames[0]} to {frames[-1]} are"
        super().__init__(
            f"{which} damaged or missing; fetch the stream again, or continue after the gap", field="frame"
        )
        self.frames = frames


class Reader:
    """Iterates over the frames of a stream. For one thread at a time.

    fp: an open file, pipe or socket file; reads may return less than requested, and nothing after the end of
    the stream is read.
    on_loss: 'raise' raises LostFrames for damaged or missing frames, and the next call of next() continues
    after them; 'skip' continues at once. In both cases `lost` lists them.
    max_frame_bytes: longer frames are refused before allocation.
    Raises BadMagic, TruncatedData or UnsupportedVersion for a wrong start.

    Attributes:
        lost: ranges of the numbers of frames lost so far.
    """

    def __init__(
        self,
        fp: IO[bytes],
        *,
        on_loss: Literal["raise", "skip"] = "raise",
        max_frame_bytes: int = DEFAULT_FRAME_BYTES,
    ) -> None:
        if on_loss not in ("raise", "skip"):
            raise UsageError(f"on_loss must be 'raise' or 'skip', not {on_loss!r}", field="on_loss")
        self.lost: list[range] = []
        self._ended = False
        self._max = min(max_frame_bytes, MAX_FRAME_BYTES)
        self._raises = on_loss == "raise"
        self._source = _Lookahead(fp)
        self._next_number = 0
        self._n_damaged = 0
        self._pending: Frame | None = None
        _check_start(self._source)

    @property
    def ended(self) -> bool:
        """True once the end of the stream has been read."""
        return self._ended

    @property
    def complete(self) -> bool:
        """True once the end of the stream has been read, if no frame was lost."""
        return self._ended and not self.lost

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """Return the next sound frame.

        Raises LostFrames as described for on_loss, TruncatedData if the source ends before the stream
        (on_loss='skip' ends the iteration instead), LimitExceeded for a frame of more than max_frame_bytes,
        CorruptPayload after too many damaged frames in a row.
        """
        if self._pending is not None:
            frame, self._pending = self._pending, None
            return frame
        if self._ended:
            raise StopIteration
        found = self._next_record()
        if isinstance(found, Frame):
            lost, self._next_number = range(self._next_number, found.number), found.number + 1
            self._note(lost, found)
            return found
        self._ended = found is not None
        if found is None:
            return self._cut_short()
        self._note(range(self._next_number, found), None)
        raise StopIteration

    def _note(self, lost: range, frame: Frame | None) -> None:
        if not lost:
            return
        self.lost.append(lost)
        if self._raises:
            self._pending = frame
            raise LostFrames(lost)

    def _cut_short(self) -> Frame:
        if not self._raises:
            raise StopIteration
        msg = f"the stream was cut short after frame {self._next_number - 1}: it has no end; fetch it again"
        raise TruncatedData(msg, field="end")

    def _next_record(self) -> Frame | int | None:
        """Return the next sound frame, the frame count in the end record, or None if the source ends."""
        source = self._source
        while True:
            source.find(bytes([MARK]))
            kind = source.peek(2)
            if len(kind) < 2:
                return None
            if kind == END and (count := self._end()) is not None:
                return count
            if kind == FRAME and (head := self._head()) is not None:
                frame = self._frame(head)
                if frame is not None:
                    return frame
            # No sound record begins here; the next one may begin inside these bytes.
            source.skip(1)

    def _head(self) -> _Head | None:
        """Return the frame head at the current position, or None if there is none."""
        for size in range(4 + CRC_BYTES, MAX_HEAD_BYTES + 1):
            start = self._source.peek(size)
            fields = Fields(start, len(FRAME))
            try:
                number, n_bytes = fields.varint("number"), fields.varint("length")
                crc = fields.uint(CRC_BYTES, "CRC")
            except TruncatedData:
                continue
            except CorruptPayload:
                return None
            if crc != zlib.crc32(start[: size - CRC_BYTES]) or number < self._next_number:
                return None
            return _Head(number, n_bytes, size)
        return None

    def _frame(self, head: _Head) -> Frame | None:
        """Return the frame of a sound head, or None if its file is damaged."""
        if head.n_bytes > self._max:
            msg = f"frame {head.number} takes {head.n_bytes:,} bytes, the limit is {self._max:,}"
            raise LimitExceeded(f"{msg}; if you trust it, pass max_frame_bytes", field="max_frame_bytes")
        data = self._source.peek(head.size + head.n_bytes)[head.size :]
        if len(data) < head.n_bytes or not is_sound(data):
            self._count_damage()
            return None
        self._n_damaged = 0
        self._source.skip(head.size + head.n_bytes)
        return Frame(head.number, data)

    def _count_damage(self) -> None:
        """Raise CorruptPayload after _MAX_DAMAGED damaged frames in a row; bounds work on forged streams."""
        self._n_damaged += 1
        if self._n_damaged > _MAX_DAMAGED:
            msg = f"{_MAX_DAMAGED} damaged frames in a row after frame {self._next_number - 1}"
            raise CorruptPayload(f"{msg}; fetch the stream again", field="frame")

    def _end(self) -> int | None:
        """Consume the end record and return its frame count, or None if there is no sound one here.

        The index in it is only checked: it serves readers that can seek (frame_index.Index).
        """
        size = len(END)
        while size < MAX_HEAD_BYTES:
            size += 1
            fields = Fields(self._source.peek(size), len(END))
            try:
                count, n_index = fields.varint("count"), fields.varint("index length")
            except TruncatedData:
                continue
            except CorruptPayload:
                return None
            if count < self._next_number or n_index > min(5 * count, self._max):
                return None
            whole = self._source.peek(size + n_index + 2 * CRC_BYTES)
            body, tail = whole[: size + n_index], whole[size + n_index :]
            if tail[:CRC_BYTES] != zlib.crc32(body).to_bytes(CRC_BYTES, "little"):
                return None
            self._source.skip(len(whole))
            return count
        return None


class _Lookahead:
    """A buffer in front of a file object whose reads may return less than requested.

    Never reads further than requested, so that it does not block on a live source.
    """

    def __init__(self, fp: IO[bytes]) -> None:
        self._fp = fp
        self._buffer = bytearray()

    def peek(self, n_bytes: int) -> bytes:
        """Return the next n_bytes without consuming them; fewer at the end of the source."""
        while len(self._buffer) < n_bytes:
            part = read_some(self._fp, min(n_bytes - len(self._buffer), _BLOCK))
            if not part:
                break
            self._buffer += part
        return bytes(self._buffer[:n_bytes])

    def skip(self, n_bytes: int) -> None:
        """Consume n_bytes that were peeked at."""
        del self._buffer[:n_bytes]

    def find(self, start: bytes) -> None:
        """Consume bytes up to the next occurrence of `start`, or the end of the source."""
        while True:
            at = self._buffer.find(start)
            if at >= 0:
                return self.skip(at)
            self.skip(max(0, len(self._buffer) - len(start) + 1))
            if len(self.peek(len(start))) < len(start):
                return self.skip(len(start))


class _Head(NamedTuple):
    """The head of a frame. n_bytes: size of its file. size: of the head itself, in bytes."""

    number: int
    n_bytes: int
    size: int


def _check_start(source: _Lookahead) -> None:
    start = source.peek(len(START))
    if start[: len(SIGNATURE)] != SIGNATURE[: len(start)]:
        raise BadMagic(
            f"the data starts with {start[:8].hex(' ')}, so it is not a .vaes stream",
            field="signature",
            offset=0,
        )
    if len(start) < len(START):
        raise TruncatedData("the stream ends inside its signature; it was cut short", field="signature")
    if start != START:
        msg = f"stream version {start[-1] >> 4}.{start[-1] & 15}: this release reads 0.1; install a newer one"
        raise UnsupportedVersion(msg, field="version", offset=len(SIGNATURE))
    source.skip(len(START))


def is_sound(data: bytes) -> bool:
    """Return whether a .vae file is complete and its CRCs hold; unknown versions are left to the decoder."""
    try:
        parse_container(data, UNLIMITED)
    except UnsupportedVersion:
        return True
    except (FormatError, LimitExceeded) as error:
        return not isinstance(error, (BadMagic, TruncatedData, ChecksumMismatch, CorruptPayload))
    return True
