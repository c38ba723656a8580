"""Tags of TIFF directories: which say something about the picture, and how their text stays what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image, TiffTags

if TYPE_CHECKING:
    from collections.abc import Iterable
EXIF_DIRECTORY, GPS_DIRECTORY, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
SUB_DIRECTORIES = (EXIF_DIRECTORY, GPS_DIRECTORY)
X_RESOLUTION = 0x011A
XMP, IPTC, PHOTOSHOP, ICC = 0x02BC, 0x83BB, 0x8649, 0x8773

# How the samples of that very file are stored, what they mean, or where other directories lie.
LAYOUT = frozenset(
    {
        *range(0x00FE, 0x010B),
        *(0x0111, 0x0115, 0x0116, 0x0117, 0x0118, 0x0119, 0x011C),
        *range(0x0120, 0x0126),
        *(0x013D, 0x0140),
        *range(0x0141, 0x014A),
        *range(0x014C, 0x0157),
        *(0x015B, *range(0x80E3, 0x80E7)),
        *range(0x0200, 0x020A),
        *range(0x0211, 0x0215),
    }
)
# These change what is shown, or are pictures of their own: left out of files, but never in silence.
TOLD_LAYOUT = frozenset({0x012D, 0x014A})
# The names by which the picture, its maker and its place are described.
_DESCRIPTIVE = frozenset(
    {0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298}
    | {*range(0x9C9B, 0x9CA0)}
)
# Kept or told elsewhere: orientation, resolution, profile, XMP, IPTC; and the page number of the only page.
_ELSEWHERE = frozenset({0x0112, 0x011A, 0x011B, 0x0128, 0x0129, XMP, IPTC, PHOTOSHOP, ICC})
# So many tags that are left out are named.
_NAMED = 6


def descriptive(own: Image.Exif, notes: list[str]) -> Image.Exif:
    """Return the tags of a TIFF file that describe its picture; the names of others are told in `notes`."""
    kept, left_out = Image.Exif(), []
    for tag in own:
        if tag in SUB_DIRECTORIES:
            copy_directory(own, kept, tag)
        elif tag in _DESCRIPTIVE:
            kept[tag] = as_stored(own[tag])
        elif tag not in LAYOUT and tag not in _ELSEWHERE:
            left_out.append(tag)
    if left_out:
        notes.append(f"TIFF tags are not kept: {_names(sorted(left_out))}")
    return kept


def for_writing(exif: bytes) -> Image.Exif | None:
    """Return the tags of EXIF data for a TIFF file, whose writer knows the layout; None for damaged data."""
    source, kept = Image.Exif(), Image.Exif()
    try:
        source.load(exif)
        for tag in source:
            if tag in SUB_DIRECTORIES:
                copy_directory(source, kept, tag)
            elif tag not in LAYOUT | TOLD_LAYOUT | {XMP, IPTC, PHOTOSHOP, ICC}:
                kept[tag] = as_stored(source[tag])
    except Exception:  # Pillow raises anything over damaged tags
        return None
    return kept


def copy_directory(source: Image.Exif, target: Image.Exif, tag: int) -> None:
    """Copy a directory below the first one, and the one below that."""
    directory = {key: as_stored(value) for key, value in source.get_ifd(tag).items()}
    if INTEROPERABILITY in directory:
        below = source.get_ifd(INTEROPERABILITY)
        directory[INTEROPERABILITY] = {key: as_stored(value) for key, value in below.items()}
    target.get_ifd(tag).update(directory)
    # An entry that leads to it; Pillow writes the right place.
    target[tag] = 0


def as_stored(value: Any) -> Any:
    """Return text as the bytes that it was read from: Pillow reads Latin-1, and writes ASCII alone."""
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def _names(tags: Iterable[int]) -> str:
    names = [TiffTags.lookup(tag).name for tag in tags]
    told = [
        f"{name} ({tag})" if name != "unknown" else str(tag) for tag, name in zip(tags, names, strict=True)
    ]
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return ", ".join(told[:_NAMED]) + more
