"""Read the frames of a .vaes stream, and go on behind damage."""

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


class Lookahead:
    """A window on a file object that gives what it has, in whatever pieces.

    Never reads beyond what is asked for, so that a live source is not waited for in vain.
    """

    def __init__(self, fp: IO[bytes]) -> None:
        self._fp = fp
        self._held = bytearray()

    def peek(self, n_bytes: int) -> bytes:
        """Return the next bytes, which stay; fewer at the end of the source."""
        while len(self._held) < n_bytes:
            part = read_some(self._fp, min(n_bytes - len(self._held), _BLOCK))
            if not part:
                break
            self._held += part
        return bytes(self._held[:n_bytes])

    def skip(self, n_bytes: int) -> None:
        """Pass over bytes that were peeked at."""
        del self._held[:n_bytes]

    def find(self, start: bytes) -> None:
        """Pass over bytes up to where `start` may begin, or the end of the source."""
        while True:
            at = self._held.find(start)
            if at >= 0:
                return self.skip(at)
            self.skip(max(0, len(self._held) - len(start) + 1))
            if len(self.peek(len(start))) < len(start):
                return self.skip(len(start))


_MAX_DAMAGED = 1_000


class Frame(NamedTuple):
    """One picture of a stream: its number, from 0, and the bytes of its .vae file, every CRC checked."""

    number: int
    data: bytes


class LostFrames(FormatError):
    """Frames of a stream are damaged or missing. frames: their numbers."""

    def __init__(self, frames: range) -> None:
        which = f"frame {frames[0]} is" if len(frames) == 1 else f"frames {frames[0]} to {frames[-1]} are"
        super().__init__(
            f"{which} damaged or missing; fetch the stream again, or go on behind", field="frame"
        )
        self.frames = frames


class _Head(NamedTuple):
    """A frame's head: number, bytes of its file, bytes of the head itself."""

    number: int
    n_bytes: int
    size: int


class Reader:
    """Iterates over the frames of a stream. One thread at a time.

    fp: an open file, pipe or socket file; reads that give less than asked for are fine, and nothing behind
    the stream's end is read. on_loss: what happens where frames are damaged or missing: 'raise' raises
    LostFrames, and the next call of next() goes on behind them; 'skip' goes on at once. Either way `lost`
    lists them.
    max_frame_bytes: a longer frame is refused before anything is allocated for it.

    Attributes:
        lost: ranges of the numbers of frames that did not come whole, so far.
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
        self._source = Lookahead(fp)
        self._due = 0
        self._damaged = 0
        self._held: Frame | None = None
        _check_start(self._source)

    @property
    def ended(self) -> bool:
        """Whether the end of the stream was found."""
        return self._ended

    @property
    def complete(self) -> bool:
        """Whether the end of the stream was found, and nothing was lost."""
        return self._ended and not self.lost

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """Return the next sound frame.

        Raises LostFrames as the class says, TruncatedData where the source ends before the stream does (with
        on_loss='skip' that just ends it), LimitExceeded for too long a frame.
        """
        if self._held is not None:
            frame, self._held = self._held, None
            return frame
        if self._ended:
            raise StopIteration
        found = self._next_record()
        if isinstance(found, Frame):
            lost, self._due = range(self._due, found.number), found.number + 1
            self._note(lost, found)
            return found
        self._ended = found is not None
        if found is None:
            return self._cut_short()
        self._note(range(self._due, found), None)
        raise StopIteration

    def _note(self, lost: range, frame: Frame | None) -> None:
        if not lost:
            return
        self.lost.append(lost)
        if self._raises:
            self._held = frame
            raise LostFrames(lost)

    def _cut_short(self) -> Frame:
        if not self._raises:
            raise StopIteration
        msg = (
            f"the stream ends behind frame {self._due - 1} without its end; it was cut short, fetch it again"
        )
        raise TruncatedData(msg, field="end")

    def _next_record(self) -> Frame | int | None:
        """Return the next sound frame, the count that the end names, or None where the source ends."""
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
            # Whatever this was, the next record may begin inside it.
            source.skip(1)

    def _head(self) -> _Head | None:
        """Return the head that begins here, or None if none does."""
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
            if crc != zlib.crc32(start[: size - CRC_BYTES]) or number < self._due:
                return None
            return _Head(number, n_bytes, size)
        return None

    def _frame(self, head: _Head) -> Frame | None:
        """Return the frame of a sound head, or None where its file is damaged."""
        if head.n_bytes > self._max:
            msg = f"frame {head.number} takes {head.n_bytes:,} bytes, the limit is {self._max:,}"
            raise LimitExceeded(f"{msg}; if you trust it, pass max_frame_bytes", field="max_frame_bytes")
        data = self._source.peek(head.size + head.n_bytes)[head.size :]
        if len(data) < head.n_bytes or not is_sound(data):
            self._count_damage()
            return None
        self._damaged = 0
        self._source.skip(head.size + head.n_bytes)
        return Frame(head.number, data)

    def _count_damage(self) -> None:
        """Give up where nothing but damage follows: a forged stream could make that take for ever."""
        self._damaged += 1
        if self._damaged > _MAX_DAMAGED:
            msg = (
                f"{_MAX_DAMAGED} damaged frames in a row behind frame {self._due - 1}; fetch the stream again"
            )
            raise CorruptPayload(msg, field="frame")

    def _end(self) -> int | None:
        """Take the end of the stream and return its count of frames, or None if this is none.

        The index is for those who can seek: here it is only checked and passed over.
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
            if count < self._due or n_index > min(5 * count, self._max):
                return None
            whole = self._source.peek(size + n_index + 2 * CRC_BYTES)
            body, tail = whole[: size + n_index], whole[size + n_index :]
            if tail[:CRC_BYTES] != zlib.crc32(body).to_bytes(CRC_BYTES, "little"):
                return None
            self._source.skip(len(whole))
            return count
        return None


def _check_start(source: Lookahead) -> None:
    start = source.peek(len(START))
    if start[: len(SIGNATURE)] != SIGNATURE[: len(start)]:
        raise BadMagic(
            f"the data starts with {start[:8].hex(' ')}, so this is no .vaes stream",
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
    """Tell whether all CRCs of a .vae file hold. One of another version is for the decoder to refuse."""
    try:
        parse_container(data, UNLIMITED)
    except UnsupportedVersion:
        return True
    except (FormatError, LimitExceeded) as error:
        return not isinstance(error, (BadMagic, TruncatedData, ChecksumMismatch, CorruptPayload))
    return True
