"""Random access to the frames of a .vaes stream in a file (STREAM.md section 3)."""

from __future__ import annotations

import io
import itertools
import zlib
from typing import IO

from codec.bitstream.wire import Reader as Fields
from codec.errors import ChecksumMismatch, CorruptPayload, TruncatedData, UsageError
from codec.stream.reader import is_sound
from codec.stream.writer import CRC_BYTES, END, MAX_FRAME_BYTES, START, frame_head


class Index:
    """Access to frames by number, through the index at the end of the stream.

    fp: a file that can seek and ends with the stream. len(index) is the number of frames, index[n] the bytes
    of the .vae file of frame n, read on access.
    Raises UsageError if fp cannot seek, CorruptPayload if the stream has no index, as after a pipe (`Reader`
    reads such a stream from the start), and ChecksumMismatch on access to a damaged frame.
    """

    def __init__(self, fp: IO[bytes]) -> None:
        if not fp.seekable():
            raise UsageError("an index needs a file that can seek; use codec.stream.Reader")
        self._fp = fp
        end = fp.seek(0, io.SEEK_END)
        size = int.from_bytes(self._read(max(0, end - 4), min(4, end)), "little")
        start = end - 4 - size
        if start < len(START):
            raise _no_index()
        sizes = _parse(self._read(start, size))
        first = start - sum(sizes)
        if first < len(START) or self._read(first - len(START), len(START)) != START:
            raise _no_index()
        self._offsets = list(itertools.accumulate(sizes, initial=first))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        if not -len(self) <= number < len(self):
            raise IndexError(f"frame {number} does not exist; the stream has {len(self)} frames")
        number %= len(self)
        offset, end = self._offsets[number : number + 2]
        record = self._read(offset, end - offset)
        fields = Fields(record, len(END))
        fields.varint("number")
        n_bytes = fields.varint("length")
        head = frame_head(number, n_bytes)
        data = record[len(head) :]
        if record[: len(head)] != head or n_bytes != len(data) or not is_sound(data):
            msg = f"frame {number} at byte {offset} is damaged; fetch the stream again"
            raise ChecksumMismatch(msg, field="frame", offset=offset)
        return data

    def _read(self, offset: int, n_bytes: int) -> bytes:
        self._fp.seek(offset)
        data = b""
        while len(data) < n_bytes:
            part = self._fp.read(n_bytes - len(data))
            if not part:
                raise TruncatedData(
                    "the stream was cut short while it was read", field="frame", offset=offset
                )
            data += part
        return data


def _parse(record: bytes) -> list[int]:
    """Return the size of every frame record. Raises CorruptPayload unless this is an end with an index."""
    body, crc = record[:-CRC_BYTES], record[-CRC_BYTES:]
    if not body.startswith(END) or crc != zlib.crc32(body).to_bytes(CRC_BYTES, "little"):
        raise _no_index()
    fields = Fields(body, len(END))
    try:
        count, n_index = fields.varint("count"), fields.varint("index length")
        if n_index != fields.left or count > n_index:
            raise _no_index()
        sizes = [fields.varint("index") for _ in range(count)]
    except TruncatedData:
        raise _no_index() from None
    if fields.left or any(not 0 < size <= 2 * MAX_FRAME_BYTES for size in sizes):
        raise _no_index()
    return sizes


def _no_index() -> CorruptPayload:
    return CorruptPayload(
        "there is no index at the end of this stream; read it from the start", field="index"
    )
