"""TIFF files: which layouts Pillow reads right, which take another way through it, and which are refused.

Pillow was held against files of known samples in each combination of depth, layout, byte order, photometric
interpretation, extra samples, bit order and compression, and against tifffile. What is not told apart here
came out right, or is refused by Pillow itself.
"""

from __future__ import annotations

import threading
from typing import IO

from PIL import Image, TiffImagePlugin

from codec.errors import UnsupportedImage

_BITS, _COMPRESSION, _PHOTOMETRIC, _BIT_ORDER = 258, 259, 262, 266
_SAMPLES, _PLANAR, _COLORMAP, _SUB_DIRECTORIES = 277, 284, 320, 330
_EXTRA, _FORMAT, _SUBSAMPLING, _DEPTH = 338, 339, 530, 32997
_WHITE_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 2, 3, 5, 6, 8
_COLOURS = {_RGB: 3, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_RAW, _SEPARATE, _SIGNED = 1, 2, 2
_UNSPECIFIED, _PREMULTIPLIED, _STRAIGHT = 0, 1, 2
_ADVICE = "save it with the samples of a pixel together, or as PNG"
# Pillow has one switch for all of a process.
_switching = threading.Lock()


def reopen(picture: Image.Image, stream: IO[bytes]) -> Image.Image:
    """Return a just opened picture, or itself opened anew so that libtiff reads it.

    Pillow's own reader of uncompressed files mistakes planes of 16 bits and reversed bits.
    """
    is_raw = _tag(picture, _COMPRESSION, _RAW) == (_RAW,)
    if picture.format != "TIFF" or not (is_raw and _is_misread(picture)):
        return picture
    with _switching:
        before = TiffImagePlugin.READ_LIBTIFF
        TiffImagePlugin.READ_LIBTIFF = True
        try:
            stream.seek(0)
            return Image.open(stream, formats=["TIFF"])
        finally:
            TiffImagePlugin.READ_LIBTIFF = before


def check_layout(picture: Image.Image, notes: list[str]) -> None:
    """Refuse a TIFF file whose samples Pillow reads wrong; tell in `notes` which it leaves out.

    Raises UnsupportedImage. Pictures of other formats pass.
    """
    if picture.format != "TIFF" or not hasattr(picture, "tag_v2"):
        return
    photometric = _tag(picture, _PHOTOMETRIC, 0)[0]
    if _SIGNED in _tag(picture, _FORMAT, 1):
        raise UnsupportedImage("signed samples have no defined range; convert to 8 or 16 bits first")
    if _tag(picture, _DEPTH, 1)[0] > 1:
        raise UnsupportedImage("is a volume of several slices, not a picture; save a slice of it as PNG")
    if photometric == _PALETTE and 0 < max(_tag(picture, _COLORMAP, 0)) < 256:
        raise UnsupportedImage("has a palette of 8 bits, where TIFF asks for 16; save it as PNG")
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
    """Tell whether 0 is white in 16-bit gray samples, which Pillow gives as they are stored."""
    return (
        picture.format == "TIFF"
        and picture.mode.startswith("I;16")
        and _tag(picture, _PHOTOMETRIC, 0) == (_WHITE_IS_ZERO,)
    )


def gray_bits(picture: Image.Image) -> int:
    """Return how many bits of a 16-bit gray sample the file fills, 12 or 16."""
    return 12 if picture.format == "TIFF" and _tag(picture, _BITS, 16)[0] == 12 else 16


def _check_planes(picture: Image.Image, photometric: int, extra: tuple[int, ...]) -> None:
    bits = set(_tag(picture, _BITS, 1))
    bits_pillow_takes = bits == {8} and _tag(picture, _BIT_ORDER, 1) == (1,)
    if not (getattr(picture, "use_load_libtiff", False) or bits_pillow_takes):
        raise UnsupportedImage("holds separate planes that Pillow reads wrong; pass the file itself")
    plain = not any(extra)
    if photometric == _RGB and bits <= {8, 16} and (plain or extra in ((_PREMULTIPLIED,), (_STRAIGHT,))):
        return
    if photometric in (0, 1) and plain:
        return
    if photometric == _CMYK and bits <= {8, 16} and plain:
        return
    if photometric == _YCBCR and not extra:
        return
    raise UnsupportedImage(f"holds samples in separate planes, of a kind that Pillow reads wrong; {_ADVICE}")


def _extra(picture: Image.Image, photometric: int) -> tuple[int, ...]:
    """Return the meanings of samples beyond colour, -1 for one that has none."""
    found = _tag(picture, _EXTRA)
    beyond = _tag(picture, _SAMPLES, 1)[0] - _COLOURS.get(photometric, 1) - len(found)
    return (-1,) * max(beyond, 0) + found


def _is_planar(picture: Image.Image) -> bool:
    return _tag(picture, _PLANAR, 1) == (_SEPARATE,) and _tag(picture, _SAMPLES, 1)[0] > 1


def _is_misread(picture: Image.Image) -> bool:
    """Tell whether Pillow's own reader of uncompressed files may mistake one of this layout."""
    return _tag(picture, _PLANAR, 1) == (_SEPARATE,) or _tag(picture, _BIT_ORDER, 1) == (2,)


def _tag(picture: Image.Image, tag: int, *default: int) -> tuple[int, ...]:
    """Return the numbers of a tag."""
    found = getattr(picture, "tag_v2", {}).get(tag, default)
    return found if isinstance(found, tuple) else (found,)
