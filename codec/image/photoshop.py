"""Photoshop image resources, which hold IPTC data in JPEG and TIFF files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from codec.image import tiff
from codec.image.jpeg import PHOTOSHOP_PREFIX, segments

if TYPE_CHECKING:
    from PIL import Image

IPTC = 0x0404
# Thumbnails, which have the orientation of the stored pixels.
THUMBNAILS = (0x0409, 0x040C)

_SIGNATURE = b"8BIM"


class Resource(NamedTuple):
    """One image resource.

    number: its identifier. content: its data. whole: all its bytes, header and padding included.
    """

    number: int
    content: bytes
    whole: bytes


def stored_resources(picture: Image.Image, *, turned: bool, notes: list[str]) -> bytes:
    """Return all image resources of a loaded JPEG or TIFF file, concatenated; losses are added to `notes`.

    turned: whether the pixels are turned upright; thumbnails, which are not turned, are then dropped.
    """
    block = b"".join(segments(picture, "APP13", PHOTOSHOP_PREFIX))
    iptc = b""
    if picture.format == "TIFF":
        tags = getattr(picture, "tag_v2", {})
        block, iptc = (_tag_bytes(tags, tag) for tag in (tiff.PHOTOSHOP, tiff.IPTC))
    found = read_resources(block)
    if found is None:
        notes.append("IPTC and other Photoshop data is damaged and not kept")
        found = []
    known = [resource.content.rstrip(b"\0") for resource in found if resource.number == IPTC]
    if iptc and not known:
        found.append(Resource(IPTC, iptc, pack_resource(IPTC, iptc)))
    elif iptc and iptc.rstrip(b"\0") not in known:
        notes.append("of two different blocks of IPTC the second is left out")
    kept = [r for r in found if not (turned and r.number in THUMBNAILS)]
    if len(kept) < len(found):
        notes.append("Photoshop's thumbnail is not turned with the picture and is left out")
    return b"".join(resource.whole for resource in kept)


def read_resources(data: bytes) -> list[Resource] | None:
    """Split a block into image resources; return None if it is damaged. Trailing zeros are padding."""
    found: list[Resource] = []
    at = 0
    while at < len(data):
        # Signature, number, Pascal string and size, the string padded to an even length.
        name_end = at + 7 + (data[at + 6] if at + 6 < len(data) else 0)
        name_end += (name_end - at) & 1
        start = name_end + 4
        size = int.from_bytes(data[name_end:start], "big")
        if data[at : at + 4] != _SIGNATURE or start + size > len(data):
            return None if data[at:].strip(b"\0") else found
        end = start + size + (size & 1)
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        found.append(Resource(number, data[start : start + size], data[at:end]))
        at = end
    return found


def pack_resource(number: int, content: bytes) -> bytes:
    """Return the bytes of an unnamed resource."""
    head = _SIGNATURE + number.to_bytes(2, "big") + b"\0\0" + len(content).to_bytes(4, "big")
    return head + content + bytes(len(content) & 1)


def _tag_bytes(tags: Any, tag: int) -> bytes:
    """Return the stored bytes of a TIFF tag of any type: some writers declare bytes as 32-bit numbers."""
    value = getattr(tags, "_tagdata", {}).get(tag) or tags.get(tag)
    return value if isinstance(value, bytes) else b""
