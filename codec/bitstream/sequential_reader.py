"""Read one .vae file from a source that cannot seek: a pipe or a socket."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from codec.bitstream import wire
from codec.bitstream.header import FIXED_BYTES, SIGNATURE, parse_header
from codec.bitstream.wire import VARINT_BYTES, Reader
from codec.errors import LimitExceeded, TruncatedData
from codec.io.files import read_some

if TYPE_CHECKING:
    from codec.bitstream.header import Header
    from codec.limits import Limits

# Largest single read: memory grows with the bytes received, never with a declared length.
_BLOCK = 1 << 18
_MAX_BYTES = 1 << 30
_CRC_BYTES = 4
_TILES = (wire.TILE, wire.LOSSLESS_TILE)


class Source:
    """Reads exact numbers of bytes from a file object and collects them in `data`."""

    def __init__(self, fp: IO[bytes]) -> None:
        self.fp = fp
        self.data = bytearray()

    def take(self, n_bytes: int, field: str) -> bytes:
        """Return the next n_bytes. Raises TruncatedData, naming `field`, if the source ends before them."""
        start = len(self.data)
        while len(self.data) < start + n_bytes:
            part = read_some(self.fp, min(start + n_bytes - len(self.data), _BLOCK))
            if not part:
                msg = f"{field} at byte {start}: {n_bytes} bytes are due, {len(self.data) - start} arrived"
                raise TruncatedData(
                    f"{msg}; the file was cut short, fetch it again", field=field, offset=start
                )
            self.data += part
        return bytes(self.data[start:])

    def varint(self, field: str) -> int:
        """Return a varint without checking that its form is the shortest; the parser checks that."""
        value = 0
        for i in range(VARINT_BYTES):
            byte = self.take(1, field)[0]
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                break
        return value


def read_file(fp: IO[bytes], limits: Limits) -> bytes:
    """Return the bytes of the next .vae file and read nothing after it.

    Tiles are not checked. Raises the errors of read_head, TruncatedData, and LimitExceeded for a file of more
    than 1 GiB.
    """
    source = Source(fp)
    header, _ = read_head(source, limits)
    for index in range(header.tiles):
        if index:
            source.take(1, "chunk type")
        _take_payload(source)
    return bytes(source.data)


def read_head(source: Source, limits: Limits) -> tuple[Header, list[wire.Chunk]]:
    """Return the header and all chunks before the first tile; the type byte of that tile is consumed.

    Raises the errors of parse_header, TruncatedData, ChecksumMismatch for a damaged chunk, and LimitExceeded
    for more chunks or metadata than allowed.
    """
    header = _read_header(source, limits)
    found: list[wire.Chunk] = []
    metadata = 0
    while True:
        start = len(source.data)
        kind = source.take(1, "chunk type")[0]
        if kind in _TILES:
            return header, found
        limits.check_chunks(len(found) + 1)
        n_bytes = source.varint("chunk length")
        if kind & wire.ANCILLARY:
            metadata += n_bytes
            limits.check_metadata(metadata)
        _take_payload(source, n_bytes)
        found.append(wire.read_chunk(Reader(bytes(source.data[start:])))._replace(offset=start))


def _read_header(source: Source, limits: Limits) -> Header:
    try:
        source.take(len(SIGNATURE) + 1, "header")
        if source.data.startswith(SIGNATURE):
            source.varint("width")
            source.varint("height")
            source.take(FIXED_BYTES, "header")
    except TruncatedData:
        parse_header(bytes(source.data), limits)  # raises the more specific error, if there is one
        raise
    return parse_header(bytes(source.data), limits)


def _take_payload(source: Source, n_bytes: int | None = None) -> None:
    """Read the rest of a chunk. n_bytes: its length if already read, otherwise None."""
    if n_bytes is None:
        n_bytes = source.varint("chunk length")
    if len(source.data) + n_bytes > _MAX_BYTES:
        raise LimitExceeded(
            f"a file of more than {_MAX_BYTES:,} bytes; if you trust it, pass its bytes to decode()"
        )
    source.take(n_bytes + _CRC_BYTES, "chunk payload")
