"""JPEG files: metadata segments, and damage in the coded samples.

libjpeg goes on over damage with whatever it finds, and Pillow passes no word of it on. But where bytes are
lost or overwritten, the decoder seldom needs exactly those that are there. If a part (a scan, or what lies
between two restart markers) is too short, bits put behind it change pixels; if one is much too long, its end
changes none.
"""

from __future__ import annotations

import random
import struct
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.image import xmp
from codec.image.exif import PREFIX

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


_START, _END, _FILL = b"\xff\xd8", b"\xff\xd9", b"\xff"
_SOS, _EOI, _DRI = 0xDA, 0xD9, 0xDD
_FRAMES = (0xC0, 0xC1)
_RESTARTS = range(0xD0, 0xD8)
# All that decoding depends on. The rest, such as a directory of further pictures, would only be in the way.
_KEPT = (*_FRAMES, 0xC4, 0xDB, _DRI, 0xEE)
_PUT_BYTES, _TAIL_BYTES, _TRIES = 16, 128, 8


class _Parsed(NamedTuple):
    """pieces: of the file, every second one a part of coded samples. n_parts: how many there should be."""

    pieces: list[bytes]
    n_parts: int
    n_scans: int


def is_damaged(data: bytes) -> bool:
    """Tell whether the coded samples of a JPEG file show damage, by previews at 1/8.

    False for progressive files, for all that is not understood, and for damage that Pillow itself refuses. A
    changed bit mostly shows in no way: the decoder is in step again before the end.
    """
    try:
        parsed = _parse(data)
    except (IndexError, ValueError, ZeroDivisionError, struct.error):
        return False
    if parsed is None:
        return False
    rng = random.Random(0)  # noqa: S311 - any bytes will do, and the same ones each time
    plain = _preview(parsed, b"", 0)
    if plain is None:
        return False
    longer = _preview(parsed, _bytes(rng, _PUT_BYTES), 0)
    if longer is None or not np.array_equal(plain, longer):
        return True
    if parsed.n_scans > 1:
        return False
    if len(parsed.pieces) // 2 != parsed.n_parts:
        return True
    if parsed.n_parts > 1:
        return False
    for _ in range(_TRIES):
        other = _preview(parsed, _bytes(rng, _TAIL_BYTES), _TAIL_BYTES)
        if other is None or not np.array_equal(plain, other):
            return False
    return True


def _parse(data: bytes) -> _Parsed | None:
    """Take a file apart up to its end marker; None for what is not baseline. Raises over what is no JPEG."""
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
            at = _take_scan(data, at, bytes(head), pieces)
            head = bytearray()


def _take_scan(data: bytes, at: int, head: bytes, pieces: list[bytes]) -> int:
    """Add the parts of a scan to `pieces`, each behind its head, and return where the next segment begins."""
    while True:
        stop = _end_of_part(data, at)
        pieces += [head, data[at:stop].rstrip(_FILL)]
        if data[stop + 1] not in _RESTARTS:
            return stop
        head, at = data[stop : stop + 2], stop + 2


def _end_of_part(data: bytes, at: int) -> int:
    """Return where the next marker begins. Raises ValueError at the end of the data."""
    while True:
        at = data.index(b"\xff", at)
        if data[at + 1] not in (0, 0xFF):
            return at
        at += 1 + (data[at + 1] == 0)


def _unit_count(frame: bytes) -> int:
    """Return how many units, of a block or more of each component, a frame's one scan has."""
    height, width, n_components = struct.unpack_from(">HHB", frame, 5)
    factors = [divmod(frame[11 + 3 * i], 16) for i in range(n_components)]
    # Alone, a component is coded block by block, whatever its factors are.
    across, down = (8 * max(f) for f in zip(*factors, strict=True)) if n_components > 1 else (8, 8)
    return int(-(-width // across) * -(-height // down))


def _preview(parsed: _Parsed, put: bytes, cut: int) -> NDArray[np.uint8] | None:
    """Decode with `put` in the place of the last `cut` bytes of each part; None if that fails."""
    parts = (
        piece[: max(len(piece) - cut, 0)].rstrip(_FILL) + put if index % 2 else piece
        for index, piece in enumerate(parsed.pieces)
    )
    try:
        with Image.open(BytesIO(b"".join(parts)), formats=["JPEG"]) as picture:
            picture.draft(None, (max(picture.width // 8, 1), max(picture.height // 8, 1)))
            return np.array(picture)
    except Exception:  # whatever Pillow raises over it
        return None


def _bytes(rng: random.Random, count: int) -> bytes:
    """Return bytes that make no marker."""
    return bytes(rng.randrange(255) for _ in range(count))
