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

# What a read asks for at most: memory grows with the bytes that come, never with a length that is announced.
_BLOCK = 1 << 18
_MAX_BYTES = 1 << 30
_CRC_BYTES = 4
_TILES = (wire.TILE, wire.LOSSLESS_TILE)


class Source:
    """Reads exact numbers of bytes from a file object and keeps them all."""

    def __init__(self, fp: IO[bytes]) -> None:
        self.fp = fp
        self.data = bytearray()

    def take(self, n_bytes: int, field: str) -> bytes:
        """Return the next bytes. Raises TruncatedData where the source ends before them."""
        start = len(self.data)
        while len(self.data) < start + n_bytes:
            part = read_some(self.fp, min(start + n_bytes - len(self.data), _BLOCK))
            if not part:
                msg = f"{field} at byte {start}: {n_bytes} bytes are due, {len(self.data) - start} came"
                raise TruncatedData(f"{msg}; it was cut short, fetch it again", field=field, offset=start)
            self.data += part
        return bytes(self.data[start:])

    def varint(self, field: str) -> int:
        """Return a varint as it stands; whoever parses the data checks its form."""
        value = 0
        for i in range(VARINT_BYTES):
            byte = self.take(1, field)[0]
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                break
        return value


def read_file(fp: IO[bytes], limits: Limits) -> bytes:
    """Return the bytes of the one .vae file that comes next, and read nothing of what follows it.

    Raises what read_head raises, TruncatedData, LimitExceeded for a file of more than 1 GiB. Tiles are not
    checked.
    """
    source = Source(fp)
    header, _ = read_head(source, limits)
    for index in range(header.tiles):
        if index:
            source.take(1, "chunk type")
        _take_payload(source)
    return bytes(source.data)


def read_head(source: Source, limits: Limits) -> tuple[Header, list[wire.Chunk]]:
    """Return the header and all chunks before the first tile; the source stands behind the type of that tile.

    Raises what parse_header raises, TruncatedData, ChecksumMismatch for a damaged chunk, LimitExceeded for
    more chunks or metadata than allowed.
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
        parse_header(bytes(source.data), limits)  # which may know better what is wrong
        raise
    return parse_header(bytes(source.data), limits)


def _take_payload(source: Source, n_bytes: int | None = None) -> None:
    """Read the rest of a chunk, from its length on, or from behind it."""
    if n_bytes is None:
        n_bytes = source.varint("chunk length")
    if len(source.data) + n_bytes > _MAX_BYTES:
        raise LimitExceeded(
            f"a file of more than {_MAX_BYTES:,} bytes; hand the bytes to decode() if you trust them"
        )
    source.take(n_bytes + _CRC_BYTES, "chunk payload")
