"""Formats of more than 8 bits a sample of which Pillow makes 8 without naming it anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

# Both boxes, and the marker, come before any coded sample.
_HEAD_BYTES = 1 << 16
_J2K_SIZE, _J2K_COUNT, _J2K_DEPTHS = b"\xff\x4f\xff\x51", 40, 42
_AVIF_BOX, _AVIF_FLAGS, _AVIF_HIGH_DEPTH = b"av1C", 6, 0x40


def is_deep_file(picture: Image.Image) -> bool:
    """Tell of a JPEG 2000, AVIF or SGI picture, not yet loaded, whether a sample has more than 8 bits."""
    if picture.format == "SGI":
        return any(tile[0] == "SGI16" or 2 in tile[3] for tile in getattr(picture, "tile", ()))
    if picture.format == "JPEG2000":
        head = _head(picture)
        at = head.find(_J2K_SIZE)
        n_components = int.from_bytes(head[at + _J2K_COUNT : at + _J2K_DEPTHS], "big") if at >= 0 else 0
        return any((depth & 0x7F) >= 8 for depth in head[at + _J2K_DEPTHS :][: 3 * n_components : 3])
    if picture.format == "AVIF":
        head = _head(picture)
        at = head.find(_AVIF_BOX)
        return at >= 0 and bool(head[at + _AVIF_FLAGS : at + _AVIF_FLAGS + 1][0] & _AVIF_HIGH_DEPTH)
    return False


def _head(picture: Image.Image) -> bytes:
    fp = getattr(picture, "fp", None)
    if fp is None:
        return b""
    before = fp.tell()
    fp.seek(0)
    head: bytes = fp.read(_HEAD_BYTES)
    fp.seek(before)
    return head
