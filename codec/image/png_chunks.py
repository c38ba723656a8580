"""Checksums of PNG files, of which Pillow checks some, and refuses a picture for a comment."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import IO, NamedTuple

from codec.errors import UnsupportedImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK = 1 << 20
# Without one of these there is no picture; of all other critical chunks the pixels can tell.
_NEEDED = (b"IHDR", b"PLTE")


class _Chunk(NamedTuple):
    """start, end: in bytes of the file. kind: such as b'IDAT'."""

    start: int
    end: int
    kind: bytes

    @property
    def is_ancillary(self) -> bool:
        return bool(self.kind[0] & 0x20)


def mended(stream: IO[bytes], notes: list[str]) -> IO[bytes]:
    """Return a PNG file, at its start, or a copy without ancillary chunks whose CRC is wrong.

    What is left out, and that pixels may be damaged, is told in `notes`. Raises UnsupportedImage where the
    CRC of a chunk is wrong without which there is no picture.
    """
    damaged = _damaged_chunks(stream)
    stream.seek(0)
    for kind in dict.fromkeys(chunk.kind for chunk in damaged):
        name = kind.decode("latin-1")
        if kind in _NEEDED:
            raise UnsupportedImage(
                f"damaged PNG file (the CRC of its {name} chunk is wrong); save it again from its source"
            )
        if kind[0] & 0x20:
            notes.append(f"the {name} chunk is damaged (its CRC is wrong) and not kept")
        else:
            notes.append(f"the CRC of its {name} chunk is wrong: the picture may be damaged")
    if not any(chunk.is_ancillary for chunk in damaged):
        return stream
    data, at, kept = stream.read(), 0, bytearray()
    for chunk in damaged:
        if chunk.is_ancillary:
            kept += data[at : chunk.start]
            at = chunk.end
    return BytesIO(bytes(kept + data[at:]))


def _damaged_chunks(stream: IO[bytes]) -> list[_Chunk]:
    """Return the whole chunks whose CRC is wrong, up to where the file ends or is no PNG any more."""
    found = []
    start = len(SIGNATURE)
    stream.seek(start)
    while len(head := stream.read(8)) == 8:
        n_bytes, kind = int.from_bytes(head[:4], "big"), head[4:]
        if not kind.isalpha():
            break
        crc, left = zlib.crc32(kind), n_bytes
        while left and (block := stream.read(min(left, _BLOCK))):
            crc = zlib.crc32(block, crc)
            left -= len(block)
        stored = stream.read(4)
        if left or len(stored) < 4:
            break
        end = start + 12 + n_bytes
        if int.from_bytes(stored, "big") != crc:
            found.append(_Chunk(start, end, kind))
        if kind == b"IEND":
            break
        start = end
    return found
