"""Photoshop's image resources, the place of IPTC in JPEG and TIFF files."""

from __future__ import annotations

from typing import NamedTuple

SEGMENT_PREFIX = b"Photoshop 3.0\0"
IPTC = 0x0404
# Previews of the picture as it was stored.
THUMBNAILS = (0x0409, 0x040C)

_SIGNATURE = b"8BIM"


class Resource(NamedTuple):
    """One image resource: its number, its content, and all its bytes."""

    number: int
    content: bytes
    whole: bytes


def read_resources(data: bytes) -> list[Resource] | None:
    """Return the image resources in a block of them, or None for a damaged block.

    Zeros behind the last one are padding.
    """
    found, at = [], 0
    while data[at:].strip(b"\0"):
        # Signature, number, Pascal string and size, the string padded to an even length.
        name_end = at + 7 + (data[at + 6] if at + 6 < len(data) else 0)
        name_end += (name_end - at) & 1
        start = name_end + 4
        size = int.from_bytes(data[name_end:start], "big")
        if data[at : at + 4] != _SIGNATURE or start + size > len(data):
            return None
        end = start + size + (size & 1)
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        found.append(Resource(number, data[start : start + size], data[at:end]))
        at = end
    return found


def pack_resource(number: int, content: bytes) -> bytes:
    """Return a resource without a name."""
    head = _SIGNATURE + number.to_bytes(2, "big") + b"\0\0" + len(content).to_bytes(4, "big")
    return head + content + bytes(len(content) & 1)
