"""Segments of a JPEG file, as Pillow lists them: what several of one kind say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codec.image import xmp
from codec.image.exif import PREFIX

if TYPE_CHECKING:
    from PIL import Image

PHOTOSHOP_PREFIX = b"Photoshop 3.0\0"

_ICC = b"ICC_PROFILE\0"
# The number of the part, and how many there are.
_ICC_HEAD = 2
# So many kinds of segments that are left out are named.
_NAMED = 6
_TELLING = ("JPEG", "MPO", "PNG")
# These say how the file is coded, and what they say is applied or told elsewhere: JFIF, further pictures,
# quality of "save for web", colour transform.
_OF_THE_FILE = (
    ("APP0", b"JFIF"),
    ("APP2", b"MPF\0"),
    ("APP12", b"Ducky"),
    ("APP14", b"Adobe"),
)
_READ = (
    ("APP1", PREFIX),
    ("APP1", xmp.MAIN_PREFIX),
    ("APP1", xmp.EXTENDED_PREFIX),
    ("APP2", _ICC),
    ("APP13", PHOTOSHOP_PREFIX),
    ("COM", b""),
)


def segments(picture: Image.Image, marker: str, prefix: bytes = b"") -> list[bytes]:
    """Return what segments of one kind hold behind their prefix, in file order; none if it is no JPEG."""
    found: list[tuple[str, bytes]] = getattr(picture, "applist", None) or []
    return [data[len(prefix) :] for name, data in found if name == marker and data.startswith(prefix)]


def stored_profile(picture: Image.Image, notes: list[str]) -> bytes | None:
    """Return the ICC profile of any picture; what is lost of one is told in `notes`.

    A JPEG file holds a profile in numbered parts: of two with one number the first is used, and a profile
    that lacks a part is none.
    """
    profile = picture.info.get("icc_profile")
    found = [part for part in segments(picture, "APP2", _ICC) if len(part) >= _ICC_HEAD]
    if found:
        n_parts = found[0][1]
        parts: dict[int, bytes] = {}
        for part in found:
            if part[1] == n_parts:
                parts.setdefault(part[0], part[_ICC_HEAD:])
        profile = b"".join(parts[number] for number in sorted(parts)) if len(parts) == n_parts else None
        if profile is not None and any(part[_ICC_HEAD:] != parts.get(part[0]) for part in found):
            notes.append("the first of several colour profiles is kept, the others are left out")
    elif not isinstance(profile, bytes):
        # What Pillow cannot read of a profile it replaces by None.
        damaged = profile is None and "icc_profile" in picture.info and picture.format in _TELLING
        profile = None if damaged else b""
    if profile is None:
        notes.append("the colour profile is damaged or incomplete and not kept: colours may look different")
    return profile or None


def other_segments(picture: Image.Image) -> list[str]:
    """Return names of the segments that nothing here reads, such as 'APP11 (JP)'."""
    names: dict[str, None] = {}
    for marker, data in getattr(picture, "applist", None) or []:
        if not any(marker == m and data.startswith(p) for m, p in (*_OF_THE_FILE, *_READ)):
            label = data[:16].split(b"\0")[0].decode("ascii", "replace")
            names[f"{marker} ({label})" if label.isprintable() and label else marker] = None
    told = list(names)
    return [*told[:_NAMED], *([f"{len(told) - _NAMED} more kinds"] if len(told) > _NAMED else [])]
