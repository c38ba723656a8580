"""Metadata chunks: colour profile, EXIF, XMP, text and resolution (FORMAT.md section 3.1)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codec.bitstream import wire
from codec.bitstream.wire import VARINT_MAX, Reader, varint
from codec.errors import CorruptPayload, TruncatedData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codec.limits import Limits

RAW, ZLIB = 0, 1
# Units of the DENSITY chunk in one pixel per inch.
DENSITY_UNIT = 1000


@dataclass(frozen=True)
class Metadata:
    """The metadata of a picture; a field that is empty or None is absent.

    icc: an ICC profile. exif: EXIF data, beginning with its TIFF header. xmp: an XMP packet.
    text: pairs (key, value), neither holding NUL. dpi: pixels per inch, horizontal and vertical, or None.
    """

    icc: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    text: tuple[tuple[str, str], ...] = ()
    dpi: tuple[float, float] | None = None

    @property
    def n_bytes(self) -> int:
        """Size in bytes of the uncompressed metadata, without dpi."""
        return len(self.icc) + len(self.exif) + len(self.xmp) + len(_join(self.text))


def pack_metadata(metadata: Metadata) -> list[tuple[int, bytes]]:
    """Return (type, payload) of each metadata chunk, for write_container."""
    contents = (
        (wire.ICC, metadata.icc),
        (wire.EXIF, metadata.exif),
        (wire.XMP, metadata.xmp),
        (wire.TEXT, _join(metadata.text)),
    )
    packed = [(kind, _deflate(content)) for kind, content in contents if content]
    if metadata.dpi:
        x, y = (min(max(round(value * DENSITY_UNIT), 1), VARINT_MAX) for value in metadata.dpi)
        packed.append((wire.DENSITY, varint(x) if x == y else varint(x) + varint(y)))
    return packed


def parse_metadata(found: Iterable[wire.Chunk], limits: Limits) -> Metadata:
    """Parse the metadata chunks in `found`; other chunks are ignored.

    Raises CorruptPayload for a chunk that breaks FORMAT.md or occurs twice, LimitExceeded before more is
    inflated than `limits` allows.
    """
    contents: dict[int, bytes] = {}
    dpi, total = None, 0
    for chunk in found:
        if chunk.kind not in (wire.ICC, wire.EXIF, wire.XMP, wire.TEXT, wire.DENSITY):
            continue
        if chunk.kind in contents:
            raise _corrupt(chunk, "it occurs twice")
        if chunk.kind == wire.DENSITY:
            contents[chunk.kind], dpi = b"", _parse_density(chunk)
        else:
            contents[chunk.kind] = _inflate(chunk, total, limits)
            total += len(contents[chunk.kind])
    return Metadata(
        icc=contents.get(wire.ICC, b""),
        exif=contents.get(wire.EXIF, b""),
        xmp=contents.get(wire.XMP, b""),
        text=_split(contents.get(wire.TEXT, b"")),
        dpi=dpi,
    )


def _deflate(content: bytes) -> bytes:
    """Return a payload, compressed if that is shorter."""
    small = varint(len(content)) + zlib.compress(content, 9)
    return bytes([ZLIB]) + small if len(small) < len(content) else bytes([RAW]) + content


def _inflate(chunk: wire.Chunk, total: int, limits: Limits) -> bytes:
    """Return the content of a payload. total: bytes of metadata content already inflated."""
    reader = Reader(chunk.payload)
    try:
        method = reader.uint(1, "method")
        if method == RAW:
            limits.check_metadata(total + reader.left)
            return bytes(reader.take(reader.left, "content"))
        size = reader.varint("size") if method == ZLIB else 0
        limits.check_metadata(total + size)
        inflater = zlib.decompressobj()
        # Inflate up to one byte more than announced, to detect content that is too long.
        content = inflater.decompress(reader.take(reader.left, "content"), size + 1)
    except (TruncatedData, zlib.error):
        raise _corrupt(chunk, "it cannot be inflated") from None
    if method != ZLIB or len(content) != size or not inflater.eof or inflater.unused_data:
        raise _corrupt(chunk, "its content does not have the announced length")
    return content


def _parse_density(chunk: wire.Chunk) -> tuple[float, float]:
    reader = Reader(chunk.payload)
    try:
        values = [reader.varint("density")]
        if reader.left:
            values.append(reader.varint("density"))
    except TruncatedData:
        values = []
    if not values or not all(values) or reader.left:
        raise _corrupt(chunk, "it does not hold one or two numbers above 0")
    return values[0] / DENSITY_UNIT, values[-1] / DENSITY_UNIT


def _join(text: Iterable[tuple[str, str]]) -> bytes:
    return "\0".join(part for pair in text for part in pair).encode()


def _split(content: bytes) -> tuple[tuple[str, str], ...]:
    if not content:
        return ()
    try:
        parts = content.decode().split("\0")
        return tuple(zip(parts[::2], parts[1::2], strict=True))
    except ValueError:
        msg = "chunk TEXT: it does not hold pairs of UTF-8 strings; the file is damaged"
        raise CorruptPayload(msg, field="TEXT") from None


def _corrupt(chunk: wire.Chunk, what: str) -> CorruptPayload:
    msg = f"chunk {chunk.name} at byte {chunk.offset}: {what}; the file is damaged"
    return CorruptPayload(msg, field=chunk.name, offset=chunk.offset)
