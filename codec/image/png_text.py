"""Text chunks of PNG files that stand there more than once: Pillow keeps the last of each key alone."""

from __future__ import annotations

import zlib
from typing import IO, TYPE_CHECKING

from codec.image.raw_profile import profile_kind

if TYPE_CHECKING:
    from PIL import Image

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
