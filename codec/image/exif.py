"""EXIF data: soundness, orientation and thumbnail."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
THUMBNAIL_START, THUMBNAIL_BYTES = 0x0201, 0x0202

_SHORT, _LONG = 3, 4
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


class Thumbnail(NamedTuple):
    """The second directory of EXIF data, which describes a thumbnail.

    pointer: the byte at which its place is named. start, size: the bytes of a JPEG thumbnail; size is 0 for
    any other. orientation: the one it names, or None.
    """

    pointer: int
    start: int
    size: int
    orientation: int | None


def without_prefix(exif: bytes) -> bytes:
    """Return EXIF data from its TIFF header on: JPEG puts six bytes before it, PNG and WebP do not."""
    while exif.startswith(PREFIX):
        exif = exif[len(PREFIX) :]
    return exif


def upright_exif(exif: bytes) -> bytes | None:
    """Return EXIF data (from its TIFF header on) with orientation 1 where it names one; else as it is.

    Only that number changes, so nothing that holds offsets is moved. None for data that is damaged: no TIFF
    header, or a first directory that reaches beyond the end, itself or by one of its values.
    """
    try:
        order, start = _header(exif)
        return _upright(exif, order, start)
    except (struct.error, ValueError):
        return None


def exif_orientation(exif: bytes) -> int | None:
    """Return the orientation, 1..8, that sound EXIF data names, or None."""
    try:
        order, start = _header(exif)
        return _orientation(exif, order, start)
    except (struct.error, ValueError):
        return None


def thumbnail_of(exif: bytes) -> Thumbnail | None:
    """Return where sound EXIF data keeps a thumbnail, or None if it has none; size 0 where it is damaged."""
    try:
        order, start = _header(exif)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        pointer = start + 2 + 12 * count
        (second,) = struct.unpack_from(f"{order}I", exif, pointer)
    except (struct.error, ValueError):
        return None  # some writers leave the pointer out
    if not second:
        return None
    try:
        values = {tag: value for tag, _, _, value, _ in _entries(exif, order, second)}
        orientation = _orientation(exif, order, second)
    except struct.error:
        return Thumbnail(pointer, 0, 0, None)
    at, size = values.get(THUMBNAIL_START, 0), values.get(THUMBNAIL_BYTES, 0)
    return Thumbnail(pointer, at, size if at and at + size <= len(exif) else 0, orientation)


def with_thumbnail(exif: bytes, place: Thumbnail, jpeg: bytes) -> bytes:
    """Return EXIF data with an upright JPEG thumbnail, no larger than the one it replaces."""
    order, _ = _header(exif)
    (second,) = struct.unpack_from(f"{order}I", exif, place.pointer)
    patched = bytearray(exif)
    patched[place.start : place.start + place.size] = jpeg.ljust(place.size, b"\0")
    for tag, _, _, _, at in _entries(exif, order, second):
        if tag == THUMBNAIL_BYTES:
            struct.pack_into(f"{order}HHII", patched, at, tag, _LONG, 1, len(jpeg))
        if tag == ORIENTATION:
            struct.pack_into(f"{order}HHIHH", patched, at, tag, _SHORT, 1, 1, 0)
    return bytes(patched)


def without_thumbnail(exif: bytes, place: Thumbnail) -> bytes:
    """Return EXIF data that names no thumbnail; its bytes go where nothing else lies behind them."""
    patched = bytearray(exif)
    patched[place.pointer : place.pointer + 4] = bytes(4)
    if place.size:
        if place.start + place.size == len(exif):
            del patched[place.start :]
        else:
            patched[place.start : place.start + place.size] = bytes(place.size)
    return bytes(patched)


def _header(exif: bytes) -> tuple[str, int]:
    """Return the byte order and the place of the first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        raise ValueError("no TIFF header")
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    return order, start


def _entries(exif: bytes, order: str, start: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield tag, type, number of values, the value or its place, and the entry's own place."""
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, n_values = struct.unpack_from(f"{order}HHI", exif, at)
        (value,) = struct.unpack_from(f"{order}I", exif, at + 8)
        if kind == _SHORT and n_values == 1:
            (value,) = struct.unpack_from(f"{order}H", exif, at + 8)
        yield tag, kind, n_values, value, at


def _orientation(exif: bytes, order: str, start: int) -> int | None:
    for tag, kind, _, value, at in _entries(exif, order, start):
        if tag == ORIENTATION:
            value = exif[at + 8] if _TYPE_BYTES.get(kind) == 1 else value
            return value if 1 <= value <= 8 else None
    return None


def _upright(exif: bytes, order: str, start: int) -> bytes:
    """Return EXIF data whose directory at `start` names no turn. Raises ValueError where it is damaged."""
    patched = bytearray(exif)
    for tag, kind, n_values, value, at in _entries(exif, order, start):
        n_bytes = _TYPE_BYTES.get(kind, 0) * n_values
        if n_bytes > 4 and value + n_bytes > len(exif):
            raise ValueError("a value reaches beyond the end")
        if tag == ORIENTATION:
            struct.pack_into(f"{order}HHIHH", patched, at, tag, _SHORT, 1, 1, 0)
    return bytes(patched)


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# EXIF data in JPEG holds 64 kB in all: what is larger than this by far is no thumbnail.
_MAX_SIDE = 2048
_QUALITIES = (92, 85, 75, 60, 45)


def turn_thumbnail(exif: bytes, orientation: int, notes: list[str]) -> bytes:
    """Return sound EXIF data, whose picture has been turned, with its thumbnail turned as well.

    orientation: of the picture as it was, and of a thumbnail that names none of its own. A thumbnail that
    cannot be turned in the bytes it has is left out, which is told in `notes`.
    """
    place = thumbnail_of(exif)
    if place is None:
        return exif
    turn = TURNS.get(place.orientation or orientation)
    turned = _turned(exif[place.start : place.start + place.size], turn)
    if turned is None or len(turned) > place.size:
        notes.append("the thumbnail in the EXIF data cannot be turned with the picture and is left out")
        return without_thumbnail(exif, place)
    return with_thumbnail(exif, place, turned)


def _turned(data: bytes, turn: Image.Transpose | None) -> bytes | None:
    """Return a JPEG turned, in at most as many bytes; None where that cannot be done."""
    try:
        with Image.open(BytesIO(data), formats=["JPEG"]) as picture:
            if max(picture.size) > _MAX_SIDE or picture.mode not in ("L", "RGB"):
                return None
            upright = picture if turn is None else picture.transpose(turn)
            for quality in _QUALITIES:
                buffer = BytesIO()
                upright.save(buffer, "JPEG", quality=quality, optimize=True, exif=b"")
                if buffer.tell() <= len(data):
                    return buffer.getvalue()
    except Exception:  # a thumbnail may be damaged in any way, and must not cost the picture
        return None
    return None
