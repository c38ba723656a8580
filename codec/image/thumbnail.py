"""The thumbnail in EXIF data, turned with its picture."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from codec.image.exif import thumbnail_of, with_thumbnail, without_thumbnail

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
