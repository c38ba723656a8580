"""PNG files: damaged chunks, repeated text chunks and raw profiles."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import IO, TYPE_CHECKING, NamedTuple

from codec.errors import UnsupportedImage

if TYPE_CHECKING:
    from PIL import Image

_PREFIX = "raw profile type "
_LINE = 72


def profile_kind(key: str) -> str | None:
    """Return which profile a text of this key holds, such as 'exif'; None for other texts."""
    name = key.lower()
    return name.removeprefix(_PREFIX).strip() if name.startswith(_PREFIX) else None


def read_profile(text: str) -> bytes | None:
    """Return the bytes of a profile, or None where the text is damaged; too few bytes are no damage."""
    words = text.split(None, 2)
    try:
        return bytes.fromhex("".join(words[2].split()))[: int(words[1])] or None
    except (IndexError, ValueError):
        return None


def write_profile(kind: str, content: bytes) -> tuple[str, str]:
    """Return key and text that hold a profile."""
    digits = content.hex()
    lines = [digits[at : at + _LINE] for at in range(0, len(digits), _LINE)]
    return f"Raw profile type {kind}", "\n".join(["", kind, f"{len(content):8d}", *lines, ""])


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


_SIGNATURE_BYTES = 8
# As Pillow, of one chunk and of all.
_MAX_INFLATED = 1 << 20
_MAX_ALL = 64 << 20


def repeated_texts(picture: Image.Image) -> dict[str, str]:
    """Return key and all values, one a line, of texts that a PNG file not yet loaded holds more than once.

    The picture's file is left where it was. Texts that cannot be read are passed over.
    """
    file: IO[bytes] | None = getattr(picture, "fp", None)
    if picture.format != "PNG" or file is None:
        return {}
    before = file.tell()
    try:
        values: dict[str, dict[str, None]] = {}
        total = 0
        for kind, body in _text_chunks(file):
            key, value = _read_text(kind, body)
            total += len(value)
            if total > _MAX_ALL:
                break
            # Of a profile twice the last one is used, as by Pillow.
            if key and not profile_kind(key):
                values.setdefault(key, {})[value] = None
    finally:
        file.seek(before)
    return {key: "\n".join(several) for key, several in values.items() if len(several) > 1}


def _text_chunks(file: IO[bytes]) -> list[tuple[bytes, bytes]]:
    """Return type and content of the text chunks, up to wherever the file breaks off."""
    found = []
    file.seek(_SIGNATURE_BYTES)
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        size = int.from_bytes(head[:4], "big")
        if head[4:] in (b"tEXt", b"zTXt", b"iTXt"):
            body = file.read(size)
            if len(body) < size:
                break
            found.append((head[4:], body))
            size = 0
        file.seek(size + 4, 1)
    return found


def _read_text(kind: bytes, body: bytes) -> tuple[str, str]:
    """Return key and value, both empty where the chunk is damaged."""
    key, _, rest = body.partition(b"\0")
    try:
        if kind == b"tEXt":
            value = rest.decode("latin-1")
        elif kind == b"zTXt":
            value = _inflate(rest[1:]).decode("latin-1")
        else:
            _, _, content = rest[2:].split(b"\0", 2)
            value = (_inflate(content) if rest[0] else content).decode()
    except (IndexError, ValueError, zlib.error):
        return "", ""
    return key.decode("latin-1"), value


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, _MAX_INFLATED)
