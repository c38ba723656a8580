"""PNG files: damaged chunks, repeated text chunks and raw profiles in texts."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import IO, TYPE_CHECKING, NamedTuple

from codec.errors import UnsupportedImage

if TYPE_CHECKING:
    from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_BLOCK = 1 << 20
# Chunks without which there is no picture. Damage to other critical chunks leaves part of the pixels.
_REQUIRED = (b"IHDR", b"PLTE")
# Limits of inflated text, for one chunk and in total, as in Pillow.
_MAX_INFLATED = 1 << 20
_MAX_INFLATED_TOTAL = 64 << 20
# Raw profiles: prefix of the keys, and hexadecimal digits per line.
_PREFIX = "raw profile type "
_LINE = 72


class _Chunk(NamedTuple):
    """A chunk at bytes start..end of the file; kind: its type, such as b'IDAT'."""

    start: int
    end: int
    kind: bytes

    @property
    def is_ancillary(self) -> bool:
        return bool(self.kind[0] & 0x20)


def drop_damaged_chunks(stream: IO[bytes], notes: list[str]) -> IO[bytes]:
    """Return a PNG file, rewound, or a copy without the ancillary chunks whose CRC is wrong.

    Dropped chunks and possible damage to pixels are added to `notes`. Raises UnsupportedImage if the CRC of
    IHDR or PLTE is wrong.
    """
    damaged = _damaged_chunks(stream)
    stream.seek(0)
    for kind in dict.fromkeys(chunk.kind for chunk in damaged):
        name = kind.decode("latin-1")
        if kind in _REQUIRED:
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


def repeated_texts(picture: Image.Image) -> dict[str, str]:
    """Return {key: values joined by newlines} for keys with several texts in a PNG file not yet loaded.

    Pillow keeps only one text per key. The position of the picture's file is restored. Unreadable texts are
    skipped.
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
            if total > _MAX_INFLATED_TOTAL:
                break
            # For repeated raw profiles the last one is used, as in Pillow.
            if key and not profile_kind(key):
                values.setdefault(key, {})[value] = None
    finally:
        file.seek(before)
    return {key: "\n".join(several) for key, several in values.items() if len(several) > 1}


def profile_kind(key: str) -> str | None:
    """Return the kind of raw profile, such as 'exif', that a text of this key holds, or None."""
    name = key.lower()
    return name.removeprefix(_PREFIX).strip() if name.startswith(_PREFIX) else None


def read_profile(text: str) -> bytes | None:
    """Decode the text of a raw profile; return None if it is damaged. A short profile is accepted."""
    words = text.split(None, 2)
    try:
        return bytes.fromhex("".join(words[2].split()))[: int(words[1])] or None
    except (IndexError, ValueError):
        return None


def write_profile(kind: str, content: bytes) -> tuple[str, str]:
    """Return the key and text of a raw profile, as ImageMagick writes them."""
    digits = content.hex()
    lines = [digits[at : at + _LINE] for at in range(0, len(digits), _LINE)]
    return f"Raw profile type {kind}", "\n".join(["", kind, f"{len(content):8d}", *lines, ""])


def _damaged_chunks(stream: IO[bytes]) -> list[_Chunk]:
    """Return the chunks whose CRC is wrong, up to the first that is cut short or malformed."""
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


def _text_chunks(file: IO[bytes]) -> list[tuple[bytes, bytes]]:
    """Return (type, content) of the text chunks, up to the end of the file or the first truncated chunk."""
    found = []
    file.seek(len(SIGNATURE))
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
    """Return the key and value of a text chunk, both empty if it is damaged."""
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
