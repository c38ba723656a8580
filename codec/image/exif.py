"""EXIF data: validation, orientation and thumbnail."""

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

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# EXIF data in JPEG has at most 64 kB, so a thumbnail with a longer side is not plausible.
_MAX_THUMBNAIL_SIDE = 2048
_JPEG_QUALITIES = (92, 85, 75, 60, 45)


class Thumbnail(NamedTuple):
    """The second directory of EXIF data, which describes a thumbnail. Offsets and sizes are in bytes.

    pointer: offset of the pointer to this directory. start, size: extent of the JPEG thumbnail; size is 0 if
    the thumbnail is damaged or not JPEG. orientation: its own orientation, or None.
    """

    pointer: int
    start: int
    size: int
    orientation: int | None


def without_prefix(exif: bytes) -> bytes:
    """Return EXIF data without the six-byte prefix that JPEG puts before its TIFF header."""
    while exif.startswith(PREFIX):
        exif = exif[len(PREFIX) :]
    return exif


def upright_exif(exif: bytes) -> bytes | None:
    """Return EXIF data (starting at its TIFF header) with its orientation, if any, set to 1.

    Only that number changes, so all offsets stay valid. Return None if the data is damaged: no TIFF header,
    or a first directory that extends past the end, itself or by one of its values.
    """
    try:
        order, start = _header(exif)
        return _reset_orientation(exif, order, start)
    except (struct.error, ValueError):
        return None


def exif_orientation(exif: bytes) -> int | None:
    """Return the orientation, 1..8, of EXIF data, or None if it has none or is damaged."""
    try:
        order, start = _header(exif)
        return _orientation(exif, order, start)
    except (struct.error, ValueError):
        return None


def thumbnail_of(exif: bytes) -> Thumbnail | None:
    """Locate the thumbnail of sound EXIF data. Return None if there is none, size 0 if it is damaged."""
    try:
        order, start = _header(exif)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        pointer = start + 2 + 12 * count
        (second,) = struct.unpack_from(f"{order}I", exif, pointer)
    except (struct.error, ValueError):
        return None  # some writers omit the pointer
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
    """Replace the thumbnail by an upright JPEG that is no larger, and return the EXIF data."""
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
    """Remove the thumbnail and return the EXIF data.

    The thumbnail's bytes are cut off at the end of the data and zeroed elsewhere, so that offsets stay valid.
    """
    patched = bytearray(exif)
    patched[place.pointer : place.pointer + 4] = bytes(4)
    if place.size:
        if place.start + place.size == len(exif):
            del patched[place.start :]
        else:
            patched[place.start : place.start + place.size] = bytes(place.size)
    return bytes(patched)


def turn_thumbnail(exif: bytes, orientation: int, notes: list[str]) -> bytes:
    """Turn the thumbnail of sound EXIF data upright, like its picture, and return the data.

    orientation: 1..8, that of the picture before it was turned; used if the thumbnail has none of its own.
    A thumbnail that cannot be turned within its size in bytes is removed, with an entry in `notes`.
    """
    place = thumbnail_of(exif)
    if place is None:
        return exif
    turn = TURNS.get(place.orientation or orientation)
    turned = _turn_jpeg(exif[place.start : place.start + place.size], turn)
    if turned is None or len(turned) > place.size:
        notes.append("the thumbnail in the EXIF data cannot be turned with the picture and is left out")
        return without_thumbnail(exif, place)
    return with_thumbnail(exif, place, turned)


def _header(exif: bytes) -> tuple[str, int]:
    """Return the byte order, as for struct, and the offset of the first directory."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        raise ValueError("no TIFF header")
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    return order, start


def _entries(exif: bytes, order: str, start: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield (tag, type, number of values, value or its offset, offset of the entry) of a directory."""
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


def _reset_orientation(exif: bytes, order: str, start: int) -> bytes:
    """Set the orientation of the directory at `start` to 1. Raises ValueError or struct.error on damage."""
    patched = bytearray(exif)
    for tag, kind, n_values, value, at in _entries(exif, order, start):
        n_bytes = _TYPE_BYTES.get(kind, 0) * n_values
        if n_bytes > 4 and value + n_bytes > len(exif):
            raise ValueError("a value reaches beyond the end")
        if tag == ORIENTATION:
            struct.pack_into(f"{order}HHIHH", patched, at, tag, _SHORT, 1, 1, 0)
    return bytes(patched)


def _turn_jpeg(data: bytes, turn: Image.Transpose | None) -> bytes | None:
    """Return a JPEG turned, in at most as many bytes; None if that fails."""
    try:
        with Image.open(BytesIO(data), formats=["JPEG"]) as picture:
            if max(picture.size) > _MAX_THUMBNAIL_SIDE or picture.mode not in ("L", "RGB"):
                return None
            upright = picture if turn is None else picture.transpose(turn)
            for quality in _JPEG_QUALITIES:
                buffer = BytesIO()
                upright.save(buffer, "JPEG", quality=quality, optimize=True, exif=b"")
                if buffer.tell() <= len(data):
                    return buffer.getvalue()
    except Exception:  # Pillow may raise anything; a damaged thumbnail must not fail the picture
        return None
    return None
