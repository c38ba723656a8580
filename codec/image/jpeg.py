"""JPEG files: metadata segments, Photoshop's image resources, and damage in the coded samples.

libjpeg continues after damage, and Pillow does not report its warnings. But after lost or overwritten bytes,
the decoder rarely consumes exactly the bytes of a part (a scan, or the data between two restart markers). If
a part is too short, bytes appended to it change pixels; if it is much too long, changing its end has no
effect.
"""

from __future__ import annotations

import random
import struct
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.image import tiff, xmp
from codec.image.exif import PREFIX

PHOTOSHOP_PREFIX = b"Photoshop 3.0\0"

_ICC = b"ICC_PROFILE\0"
# The number of this part and the number of parts.
_ICC_HEAD = 2
# A warning names at most this many kinds of segments.
_MAX_NAMED = 6
# For these formats Pillow sets a profile that it cannot read to None.
_REPORTS_DAMAGED_ICC = ("JPEG", "MPO", "PNG")
# Properties of the coding, applied or reported elsewhere: JFIF, further pictures, quality of "save for web",
# colour transform.
_CODING_SEGMENTS = (
    ("APP0", b"JFIF"),
    ("APP2", b"MPF\0"),
    ("APP12", b"Ducky"),
    ("APP14", b"Adobe"),
)
_READ_SEGMENTS = (
    ("APP1", PREFIX),
    ("APP1", xmp.MAIN_PREFIX),
    ("APP1", xmp.EXTENDED_PREFIX),
    ("APP2", _ICC),
    ("APP13", PHOTOSHOP_PREFIX),
    ("COM", b""),
)


_START, _END, _FILL = b"\xff\xd8", b"\xff\xd9", b"\xff"
_SOS, _EOI, _DRI = 0xDA, 0xD9, 0xDD
_FRAMES = (0xC0, 0xC1)
_RESTARTS = range(0xD0, 0xD8)
# All segments that decoding depends on. The others are dropped: a directory of further pictures, for example,
# would make Pillow look for those.
_KEPT = (*_FRAMES, 0xC4, 0xDB, _DRI, 0xEE)
_APPENDED_BYTES, _REPLACED_BYTES, _TRIES = 16, 128, 8


def segments(picture: Image.Image, marker: str, prefix: bytes = b"") -> list[bytes]:
    """Return the contents, after `prefix`, of all such segments in file order; [] if not a JPEG file."""
    found: list[tuple[str, bytes]] = getattr(picture, "applist", None) or []
    return [data[len(prefix) :] for name, data in found if name == marker and data.startswith(prefix)]


def stored_profile(picture: Image.Image, notes: list[str]) -> bytes | None:
    """Return the ICC profile of a picture of any format, or None; losses are added to `notes`.

    A JPEG file holds a profile in numbered parts: the first part of each number is used, and a profile with a
    missing part is dropped.
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
        damaged = profile is None and "icc_profile" in picture.info and picture.format in _REPORTS_DAMAGED_ICC
        profile = None if damaged else b""
    if profile is None:
        notes.append("the colour profile is damaged or incomplete and not kept: colours may look different")
    return profile or None


def other_segments(picture: Image.Image) -> list[str]:
    """Return the names of segments that are not kept, such as 'APP11 (JP)'."""
    names: dict[str, None] = {}
    for marker, data in getattr(picture, "applist", None) or []:
        if not any(marker == m and data.startswith(p) for m, p in (*_CODING_SEGMENTS, *_READ_SEGMENTS)):
            label = data[:16].split(b"\0")[0].decode("ascii", "replace")
            names[f"{marker} ({label})" if label.isprintable() and label else marker] = None
    found = list(names)
    more = [f"{len(found) - _MAX_NAMED} more kinds"] if len(found) > _MAX_NAMED else []
    return [*found[:_MAX_NAMED], *more]


class _Parsed(NamedTuple):
    """A JPEG file split at its coded samples.

    pieces: of the file; those at odd positions are parts of coded samples. n_parts: the expected number of
    parts in one scan. n_scans: number of scans.
    """

    pieces: list[bytes]
    n_parts: int
    n_scans: int


def is_damaged(data: bytes) -> bool:
    """Return whether the coded samples of a JPEG file are detectably damaged, by comparing previews at 1/8.

    Return False for progressive files, for files that cannot be parsed, and for damage that Pillow itself
    refuses. A single changed bit mostly goes undetected: the decoder resynchronises before the end.
    """
    try:
        parsed = _parse(data)
    except (IndexError, ValueError, ZeroDivisionError, struct.error):
        return False
    if parsed is None:
        return False
    rng = random.Random(0)  # noqa: S311 - any bytes serve; the seed makes the result repeatable
    plain = _preview(parsed, b"", 0)
    if plain is None:
        return False
    longer = _preview(parsed, _filler(rng, _APPENDED_BYTES), 0)
    if longer is None or not np.array_equal(plain, longer):
        return True
    if parsed.n_scans > 1:
        return False
    if len(parsed.pieces) // 2 != parsed.n_parts:
        return True
    if parsed.n_parts > 1:
        return False
    for _ in range(_TRIES):
        other = _preview(parsed, _filler(rng, _REPLACED_BYTES), _REPLACED_BYTES)
        if other is None or not np.array_equal(plain, other):
            return False
    return True


def _parse(data: bytes) -> _Parsed | None:
    """Split a file up to its end marker; None if it is not baseline.

    Raises IndexError, ValueError, ZeroDivisionError or struct.error if it is not a whole JPEG file.
    """
    pieces: list[bytes] = []
    head = bytearray(_START)
    n_units = interval = n_scans = 0
    at = 2
    while True:
        while data[at] != 0xFF or data[at + 1] in (0, 0xFF):
            at += 1
        marker = data[at + 1]
        if marker == _EOI:
            n_parts = -(-n_units // interval) if interval else 1
            return _Parsed([*pieces, bytes(head) + _END], n_parts, n_scans) if n_scans else None
        if marker in _RESTARTS:
            return None
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at:end]
        at = end
        if marker in _FRAMES:
            n_units = _unit_count(segment)
        elif marker == _DRI:
            (interval,) = struct.unpack_from(">H", segment, 4)
        elif 0xC0 <= marker < 0xD0 and marker not in _KEPT:
            return None
        if marker in _KEPT:
            head += segment
        if marker == _SOS:
            n_scans += 1
            head += segment
            at = _read_scan(data, at, bytes(head), pieces)
            head = bytearray()


def _read_scan(data: bytes, at: int, head: bytes, pieces: list[bytes]) -> int:
    """Append the parts of a scan to `pieces`, each after its head; return the offset of the next segment."""
    while True:
        stop = _end_of_part(data, at)
        pieces += [head, data[at:stop].rstrip(_FILL)]
        if data[stop + 1] not in _RESTARTS:
            return stop
        head, at = data[stop : stop + 2], stop + 2


def _end_of_part(data: bytes, at: int) -> int:
    """Return the offset of the next marker. Raises ValueError or IndexError at the end of the data."""
    while True:
        at = data.index(b"\xff", at)
        if data[at + 1] not in (0, 0xFF):
            return at
        at += 1 + (data[at + 1] == 0)


def _unit_count(frame: bytes) -> int:
    """Return the number of MCUs (minimum coded units) in a frame that is coded in one scan."""
    height, width, n_components = struct.unpack_from(">HHB", frame, 5)
    factors = [divmod(frame[11 + 3 * i], 16) for i in range(n_components)]
    # A single component is coded block by block, regardless of its sampling factors.
    across, down = (8 * max(f) for f in zip(*factors, strict=True)) if n_components > 1 else (8, 8)
    return int(-(-width // across) * -(-height // down))


def _preview(parsed: _Parsed, put: bytes, cut: int) -> NDArray[np.uint8] | None:
    """Decode at 1/8 with `put` instead of the last `cut` bytes of each part; None if that fails."""
    parts = (
        piece[: max(len(piece) - cut, 0)].rstrip(_FILL) + put if index % 2 else piece
        for index, piece in enumerate(parsed.pieces)
    )
    try:
        with Image.open(BytesIO(b"".join(parts)), formats=["JPEG"]) as picture:
            picture.draft(None, (max(picture.width // 8, 1), max(picture.height // 8, 1)))
            return np.array(picture)
    except Exception:  # Pillow's readers raise nearly anything over damaged data
        return None


def _filler(rng: random.Random, count: int) -> bytes:
    """Return random bytes below 0xFF, which cannot form a marker."""
    return bytes(rng.randrange(255) for _ in range(count))


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
