"""TIFF files: layouts that Pillow reads correctly, tags to keep, and resolution.

Pillow was compared with tifffile and with files of known samples in each combination of depth, layout, byte
order, photometric interpretation, extra samples, bit order and compression. Combinations that this module
does not handle are read correctly or refused by Pillow.
"""

from __future__ import annotations

import threading
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, TiffImagePlugin, TiffTags

from codec.errors import UnsupportedImage

if TYPE_CHECKING:
    from collections.abc import Iterable


EXIF_DIRECTORY, GPS_DIRECTORY, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
SUB_DIRECTORIES = (EXIF_DIRECTORY, GPS_DIRECTORY)
X_RESOLUTION = 0x011A
XMP, IPTC, PHOTOSHOP, ICC = 0x02BC, 0x83BB, 0x8649, 0x8773

# Tags, and some of their values (TIFF 6.0).
_BITS, _COMPRESSION, _PHOTOMETRIC, _BIT_ORDER = 258, 259, 262, 266
_SAMPLES, _PLANAR, _COLORMAP, _SUB_DIRECTORIES = 277, 284, 320, 330
_EXTRA, _FORMAT, _SUBSAMPLING, _DEPTH = 338, 339, 530, 32997
_WHITE_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 2, 3, 5, 6, 8
_COLOURS = {_RGB: 3, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_RAW, _SEPARATE, _SIGNED = 1, 2, 2
_UNSPECIFIED, _PREMULTIPLIED, _STRAIGHT = 0, 1, 2
_SAVE_ADVICE = "save it with the samples of a pixel together, or as PNG"


# Tags of the storage of samples in this file, of their meaning, or of the offsets of other directories.
_LAYOUT = frozenset(
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
# Layout tags that change the appearance or are further pictures: dropped, with a warning.
_REPORTED_LAYOUT = frozenset({0x012D, 0x014A})
# Tags that describe the picture, its author or its location.
_DESCRIPTIVE = frozenset(
    {0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298}
    | {*range(0x9C9B, 0x9CA0)}
)
# Handled elsewhere: orientation, resolution, profile, XMP, IPTC; and the number of the only page.
_ELSEWHERE = frozenset({0x0112, 0x011A, 0x011B, 0x0128, 0x0129, XMP, IPTC, PHOTOSHOP, ICC})
# A warning names at most this many tags.
_MAX_NAMED = 6
# A higher resolution is treated as damage.
_MAX_DPI = 1e6

# Guards TiffImagePlugin.READ_LIBTIFF, which applies to the whole process.
_libtiff_switch = threading.Lock()


def reopen(picture: Image.Image, stream: IO[bytes]) -> Image.Image:
    """Return an opened picture as it is, or opened again with libtiff if Pillow's own reader is wrong.

    Pillow's own reader of uncompressed files misreads 16-bit planes and reversed bits.
    """
    is_raw = _tag(picture, _COMPRESSION, _RAW) == (_RAW,)
    if picture.format != "TIFF" or not (is_raw and _is_misread(picture)):
        return picture
    with _libtiff_switch:
        before = TiffImagePlugin.READ_LIBTIFF
        TiffImagePlugin.READ_LIBTIFF = True
        try:
            stream.seek(0)
            return Image.open(stream, formats=["TIFF"])
        finally:
            TiffImagePlugin.READ_LIBTIFF = before


def check_layout(picture: Image.Image, notes: list[str]) -> None:
    """Raise UnsupportedImage for a TIFF file that Pillow misreads; add samples it drops to `notes`.

    Other formats pass.
    """
    if picture.format != "TIFF" or not hasattr(picture, "tag_v2"):
        return
    photometric = _tag(picture, _PHOTOMETRIC, 0)[0]
    if _SIGNED in _tag(picture, _FORMAT, 1):
        raise UnsupportedImage("signed samples have no defined range; convert to 8 or 16 bits first")
    if _tag(picture, _DEPTH, 1)[0] > 1:
        raise UnsupportedImage("is a volume of several slices, not a picture; save a slice of it as PNG")
    if photometric == _PALETTE and 0 < max(_tag(picture, _COLORMAP, 0)) < 256:
        raise UnsupportedImage("has a palette of 8 bits, and TIFF requires 16; save it as PNG")
    is_raw = _tag(picture, _COMPRESSION, _RAW) == (_RAW,)
    if photometric == _YCBCR and is_raw and _tag(picture, _SUBSAMPLING, 2, 2) != (1, 1):
        raise UnsupportedImage("holds uncompressed YCbCr that may be subsampled; save it as RGB or PNG")
    extra = _extra(picture, photometric)
    if _is_planar(picture):
        _check_planes(picture, photometric, extra)
    dropped = extra.count(_UNSPECIFIED)
    if dropped:
        what = "a further sample" if dropped == 1 else f"{dropped} further samples"
        notes.append(f"{what} of unspecified meaning in each pixel is not kept")
    if any(meaning not in (_UNSPECIFIED, _PREMULTIPLIED, _STRAIGHT) for meaning in extra):
        notes.append("a further sample whose meaning the file does not say is taken as transparency")
    inner = [offset for offset in _tag(picture, _SUB_DIRECTORIES) if offset]
    if inner:
        notes.append(f"only the main picture is kept, {len(inner)} of inner directories left out")


def is_negative(picture: Image.Image) -> bool:
    """Return whether 0 is white in the 16-bit gray samples of a TIFF file, which Pillow does not invert."""
    return (
        picture.format == "TIFF"
        and picture.mode.startswith("I;16")
        and _tag(picture, _PHOTOMETRIC, 0) == (_WHITE_IS_ZERO,)
    )


def gray_bits(picture: Image.Image) -> int:
    """Return the depth of 16-bit gray samples as the file uses it, 12 or 16."""
    return 12 if picture.format == "TIFF" and _tag(picture, _BITS, 16)[0] == 12 else 16


def descriptive_tags(own: Image.Exif, notes: list[str]) -> Image.Exif:
    """Return the tags of a TIFF file that describe its picture; dropped tags are added to `notes`."""
    kept, left_out = Image.Exif(), []
    for tag in own:
        if tag in SUB_DIRECTORIES:
            _copy_directory(own, kept, tag)
        elif tag in _DESCRIPTIVE:
            kept[tag] = _as_stored(own[tag])
        elif tag not in _LAYOUT and tag not in _ELSEWHERE:
            left_out.append(tag)
    if left_out:
        notes.append(f"TIFF tags are not kept: {_names(sorted(left_out))}")
    return kept


def tags_for_writing(exif: bytes) -> Image.Exif | None:
    """Return the tags of EXIF data without those that a TIFF writer sets itself; None if it is damaged."""
    source, kept = Image.Exif(), Image.Exif()
    try:
        source.load(exif)
        for tag in source:
            if tag in SUB_DIRECTORIES:
                _copy_directory(source, kept, tag)
            elif tag not in _LAYOUT | _REPORTED_LAYOUT | {XMP, IPTC, PHOTOSHOP, ICC}:
                kept[tag] = _as_stored(source[tag])
    except Exception:  # Pillow raises anything over damaged tags
        return None
    return kept


def stored_dpi(picture: Image.Image, notes: list[str]) -> tuple[float, float] | None:
    """Return the resolution of a loaded picture, (horizontal, vertical) in pixels per inch, or None.

    A resolution that cannot be kept, such as a ratio without a unit, is added to `notes`.
    """
    info = picture.info
    dpi = info.get("dpi")
    # If a JPEG header gives none, Pillow takes it from EXIF data, which is kept anyway, or invents it.
    if picture.format in ("JPEG", "MPO") and info.get("jfif_unit") not in (1, 2):
        dpi = None
    # Pillow also invents a resolution for a TIFF file without one.
    if picture.format == "TIFF" and X_RESOLUTION not in getattr(picture, "tag_v2", {}):
        dpi = None
    named = dpi if isinstance(dpi, tuple) else None
    try:
        x, y = (float(value) for value in named or _aspect(picture))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if named and 0 < x < _MAX_DPI and 0 < y < _MAX_DPI:
        return x, y
    if named and max(x, y) > 0:
        notes.append(f"a resolution of {x:g} x {y:g} pixels per inch is not kept")
    elif not named and x != y and min(x, y) > 0:
        notes.append(f"the aspect ratio of the pixels, {y:g}:{x:g}, is not kept: it has no unit")
    return None


def _copy_directory(source: Image.Exif, target: Image.Exif, tag: int) -> None:
    """Copy the EXIF or GPS directory, with the interoperability directory inside it."""
    directory = {key: _as_stored(value) for key, value in source.get_ifd(tag).items()}
    if INTEROPERABILITY in directory:
        below = source.get_ifd(INTEROPERABILITY)
        directory[INTEROPERABILITY] = {key: _as_stored(value) for key, value in below.items()}
    target.get_ifd(tag).update(directory)
    # The pointer to it, for which Pillow writes the correct offset.
    target[tag] = 0


def _as_stored(value: Any) -> Any:
    """Convert text to the bytes it was read from: Pillow reads Latin-1 but writes only ASCII."""
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def _check_planes(picture: Image.Image, photometric: int, extra: tuple[int, ...]) -> None:
    bits = set(_tag(picture, _BITS, 1))
    bits_pillow_takes = bits == {8} and _tag(picture, _BIT_ORDER, 1) == (1,)
    if not (getattr(picture, "use_load_libtiff", False) or bits_pillow_takes):
        raise UnsupportedImage("holds separate planes that Pillow misreads; pass the file itself")
    plain = not any(extra)
    if photometric == _RGB and bits <= {8, 16} and (plain or extra in ((_PREMULTIPLIED,), (_STRAIGHT,))):
        return
    if photometric in (0, 1) and plain:
        return
    if photometric == _CMYK and bits <= {8, 16} and plain:
        return
    if photometric == _YCBCR and not extra:
        return
    raise UnsupportedImage(
        f"holds samples in separate planes, of a kind that Pillow misreads; {_SAVE_ADVICE}"
    )


def _extra(picture: Image.Image, photometric: int) -> tuple[int, ...]:
    """Return the meaning of each sample beyond colour; -1 if the file does not give it."""
    found = _tag(picture, _EXTRA)
    beyond = _tag(picture, _SAMPLES, 1)[0] - _COLOURS.get(photometric, 1) - len(found)
    return (-1,) * max(beyond, 0) + found


def _is_planar(picture: Image.Image) -> bool:
    return _tag(picture, _PLANAR, 1) == (_SEPARATE,) and _tag(picture, _SAMPLES, 1)[0] > 1


def _is_misread(picture: Image.Image) -> bool:
    """Return whether Pillow's own reader of uncompressed files may misread this layout."""
    return _tag(picture, _PLANAR, 1) == (_SEPARATE,) or _tag(picture, _BIT_ORDER, 1) == (2,)


def _tag(picture: Image.Image, tag: int, *default: int) -> tuple[int, ...]:
    """Return the values of a tag as a tuple, or `default` if the tag is missing."""
    found = getattr(picture, "tag_v2", {}).get(tag, default)
    return found if isinstance(found, tuple) else (found,)


def _names(tags: Iterable[int]) -> str:
    names = [TiffTags.lookup(tag).name for tag in tags]
    found = [
        f"{name} ({tag})" if name != "unknown" else str(tag) for tag, name in zip(tags, names, strict=True)
    ]
    more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    return ", ".join(found[:_MAX_NAMED]) + more


def _aspect(picture: Image.Image) -> tuple[Any, ...]:
    """Return the (horizontal, vertical) resolution without a unit, or () if there is none."""
    keys = {"PNG": "aspect", "TIFF": "resolution", "JPEG": "jfif_density", "MPO": "jfif_density"}
    value = picture.info.get(keys.get(picture.format or "", ""))
    return value if isinstance(value, tuple) else ()
