"""Metadata of Pillow's pictures: what is taken from one, and how it is given back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image

from codec.bitstream.metadata import Metadata
from codec.image.exif import PREFIX, upright_exif, upright_xmp, without_prefix

if TYPE_CHECKING:
    from codec.limits import Limits

# What a TIFF file says about the picture; its other tags say how that very file is laid out.
_DESCRIPTIVE = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_SUB_DIRECTORIES = (0x8769, 0x8825)
_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")


def collect(picture: Image.Image, layout: str, limits: Limits, notes: list[str]) -> Metadata:
    """Return what a loaded picture carries beside its pixels, upright; what is left out is told in `notes`.

    layout: of the picture as it is stored, for which its colour profile must be made. Without a profile that
    fits there is none. Nothing is ever raised over damaged metadata.
    """
    metadata = Metadata(
        icc=_profile(picture, layout, notes),
        exif=_exif(picture, notes),
        xmp=_xmp(picture),
        text=_text(picture),
        dpi=_dpi(picture),
    )
    most = limits.max_metadata_bytes
    if most is not None and metadata.n_bytes > most:
        notes.append(f"metadata of {metadata.n_bytes:,} bytes is not kept, the limit is {most:,}")
        return Metadata(dpi=metadata.dpi)
    return metadata


def at_scale(metadata: Metadata, scale: int) -> Metadata:
    """Return the metadata of a preview so many times smaller, which shows the same inches."""
    if metadata.dpi is None:
        return metadata
    x, y = metadata.dpi
    return replace(metadata, dpi=(x / scale, y / scale))


def attach(metadata: Metadata, picture: Image.Image) -> None:
    """Put metadata into picture.info, under the keys that Pillow's own readers use."""
    picture.info.update({key: value for key, value in metadata.text if key not in _XMP_KEYS})
    if metadata.icc:
        picture.info["icc_profile"] = metadata.icc
    if metadata.exif:
        picture.info["exif"] = PREFIX + metadata.exif
    if metadata.xmp:
        picture.info["xmp"] = metadata.xmp
    if metadata.dpi:
        picture.info["dpi"] = metadata.dpi


def _profile(picture: Image.Image, layout: str, notes: list[str]) -> bytes:
    profile = picture.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile or picture.mode in ("CMYK", "LAB"):
        return b""
    if len(profile) < 128 or profile[36:40] != b"acsp":
        notes.append("the colour profile is damaged and not kept: colours may look different")
        return b""
    if profile[16:20] != (b"GRAY" if layout in ("L", "LA") else b"RGB "):
        notes.append("the colour profile is made for pictures of another kind and is not kept")
        return b""
    return profile


def _exif(picture: Image.Image, notes: list[str]) -> bytes:
    exif = picture.info.get("exif")
    if picture.format == "TIFF" or not isinstance(exif, bytes):
        return _tiff_tags(picture) if picture.format == "TIFF" else b""
    exif = without_prefix(exif)
    upright = upright_exif(exif) if exif else b""
    if upright is None:
        notes.append("EXIF data is damaged and not kept")
        return b""
    return upright


def _tiff_tags(picture: Image.Image) -> bytes:
    """Return the descriptive tags of a TIFF file as EXIF data; none at all where they cannot be written."""
    try:
        own, kept = picture.getexif(), Image.Exif()
        for tag in _DESCRIPTIVE:
            if tag in own:
                kept[tag] = own[tag]
        for tag in _SUB_DIRECTORIES:
            if tag in own:
                kept.get_ifd(tag).update(own.get_ifd(tag))
                kept[tag] = 0
        return without_prefix(kept.tobytes()) if len(kept) else b""
    except Exception:  # tags of any type and any damage: they must not cost the picture
        return b""


def _xmp(picture: Image.Image) -> bytes:
    for key in _XMP_KEYS:
        xmp = picture.info.get(key)
        if isinstance(xmp, str):
            xmp = xmp.encode(errors="replace")
        if isinstance(xmp, bytes) and xmp:
            return upright_xmp(xmp)
    return b""


def _text(picture: Image.Image) -> tuple[tuple[str, str], ...]:
    """Return PNG's text chunks, and the comment of JPEG and GIF."""
    text = dict(getattr(picture, "text", None) or {}) if picture.format == "PNG" else {}
    comment = picture.info.get("comment")
    if isinstance(comment, bytes) and comment:
        text.setdefault("Comment", comment.decode(errors="replace"))
    return tuple(
        (key, str(value))
        for key, value in text.items()
        if key and key not in _XMP_KEYS and "\0" not in key + str(value)
    )


def _dpi(picture: Image.Image) -> tuple[float, float] | None:
    # Where a JPEG's own header names none, Pillow takes it from EXIF data, which is kept, or makes it up.
    if picture.format in ("JPEG", "MPO") and picture.info.get("jfif_unit") not in (1, 2):
        return None
    try:
        x, y = (float(value) for value in picture.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None
