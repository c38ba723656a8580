"""Photoshop's image resources, the place of IPTC in JPEG and TIFF files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from codec.image import tiff
from codec.image.jpeg import PHOTOSHOP_PREFIX, segments

if TYPE_CHECKING:
    from PIL import Image

IPTC = 0x0404
# Previews of the picture as it was stored.
THUMBNAILS = (0x0409, 0x040C)

_SIGNATURE = b"8BIM"


class Resource(NamedTuple):
    """One image resource: its number, its content, and all its bytes."""

    number: int
    content: bytes
    whole: bytes


def stored_resources(picture: Image.Image, *, turned: bool, notes: list[str]) -> bytes:
    """Return all image resources of a loaded JPEG or TIFF file, without thumbnails if the picture is turned.

    What is left out or damaged is told in `notes`.
    """
    block = b"".join(segments(picture, "APP13", PHOTOSHOP_PREFIX))
    iptc = b""
    if picture.format == "TIFF":
        tags = getattr(picture, "tag_v2", {})
        block, iptc = (_tag_bytes(tags, tag) for tag in (tiff.PHOTOSHOP, tiff.IPTC))
    found = read_resources(block)
    if found is None:
        notes.append("IPTC and other data of Photoshop are damaged and not kept")
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
    """Return the image resources in a block of them, or None for a damaged block.

    Zeros behind the last one are padding.
    """
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
    """Return a resource without a name."""
    head = _SIGNATURE + number.to_bytes(2, "big") + b"\0\0" + len(content).to_bytes(4, "big")
    return head + content + bytes(len(content) & 1)


def _tag_bytes(tags: Any, tag: int) -> bytes:
    """Return what a TIFF tag holds, as it is stored: some writers declare bytes as numbers of 32 bits."""
    value = getattr(tags, "_tagdata", {}).get(tag) or tags.get(tag)
    return value if isinstance(value, bytes) else b""
