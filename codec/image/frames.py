"""Split concatenated PPM, PGM and PNG files from a pipe, as ffmpeg's image2pipe writes them."""

from __future__ import annotations

import itertools
from typing import IO, TYPE_CHECKING

from codec.errors import LimitExceeded, UnsupportedImage
from codec.image.source import check_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codec.limits import Limits

_PNG = b"\x89PNG\r\n\x1a\n"
_BLOCK = 1 << 18
_MAX_BYTES = 1 << 30
_WHITESPACE = b" \t\r\n\v\f"


def split_frames(fp: IO[bytes], limits: Limits) -> Iterator[bytes]:
    """Yield each picture file, PPM (P6), PGM (P5) or PNG, as soon as its last byte has been read.

    Declared sizes are checked against `limits` before the samples are read. Raises UnsupportedImage for
    other data and for an end inside a picture, LimitExceeded for a picture above the limits.
    """
    for number in itertools.count():
        source = _Source(fp, f"frame {number}")
        start = fp.read(1)
        if not start:
            return
        source.data += start
        if start == b"P":
            _take_pnm(source, limits)
        elif start == _PNG[:1]:
            _take_png(source, limits)
        else:
            raise source.wrong("does not start as PPM or PNG")
        yield bytes(source.data)


class _Source:
    """Reads exact numbers of bytes of one picture and collects them in `data`."""

    def __init__(self, fp: IO[bytes], name: str) -> None:
        self._fp = fp
        self._name = name
        self.data = bytearray()

    def take(self, n_bytes: int) -> bytes:
        start = len(self.data)
        if start + n_bytes > _MAX_BYTES:
            raise LimitExceeded(f"{self._name}: more than {_MAX_BYTES:,} bytes; pass a smaller picture")
        while len(self.data) < start + n_bytes:
            part = self._fp.read(min(start + n_bytes - len(self.data), _BLOCK))
            if not part:
                raise self.wrong("is cut short")
            self.data += part
        return bytes(self.data[start:])

    def wrong(self, what: str) -> UnsupportedImage:
        return UnsupportedImage(
            f"{self._name} {what}; send whole PPM (P6, P5) or PNG pictures, one after another"
        )

    def size(self, width: int, height: int, limits: Limits) -> None:
        try:
            check_size(width, height, limits)
        except (LimitExceeded, UnsupportedImage) as error:
            raise type(error)(f"{self._name} {error}", field=error.field) from None


def _take_pnm(source: _Source, limits: Limits) -> None:
    kind = source.take(1)
    if kind not in (b"5", b"6"):
        raise source.wrong("is PNM of an unsupported kind")
    width, height, most = (_number(source) for _ in range(3))
    if not 0 < most < 65536:
        raise source.wrong(f"has a maximum sample of {most}, not 1 to 65535")
    source.size(width, height, limits)
    source.take(width * height * (3 if kind == b"6" else 1) * (1 if most < 256 else 2))


def _number(source: _Source) -> int:
    """Read the next number of a PNM header and the whitespace byte after it; skip comments."""
    digits = b""
    byte = source.take(1)
    while not (digits and byte in _WHITESPACE):
        if byte == b"#":
            while source.take(1) not in (b"\n", b"\r"):
                pass
        elif byte.isdigit() and len(digits) < 10:
            digits += byte
        elif byte not in _WHITESPACE:
            raise source.wrong("has a damaged header")
        byte = source.take(1)
    return int(digits)


def _take_png(source: _Source, limits: Limits) -> None:
    if source.take(len(_PNG) - 1) != _PNG[1:]:
        raise source.wrong("does not start as PPM or PNG")
    while True:
        head = source.take(8)
        n_bytes, kind = int.from_bytes(head[:4], "big"), head[4:]
        body = source.take(n_bytes + 4)
        if kind == b"IHDR" and n_bytes == 13:
            source.size(int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big"), limits)
        if kind == b"IEND":
            return
