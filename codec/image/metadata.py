"""Collect metadata from PIL images, and attach it to decoded ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from codec.bitstream.metadata_chunks import Metadata
from codec.image import tiff
from codec.image.exif import (
    ORIENTATION,
    PREFIX,
    exif_orientation,
    turn_thumbnail,
    upright_exif,
    without_prefix,
)
from codec.image.jpeg import other_segments, segments, stored_profile, stored_resources
from codec.image.png import profile_kind, read_profile, repeated_texts, write_profile
from codec.image.tiff import stored_dpi
from codec.image.xmp import (
    EXTENDED_PREFIX,
    MAIN_PREFIX,
    has_reference,
    join_extended,
    upright_xmp,
    without_reference,
    xmp_orientation,
)

if TYPE_CHECKING:
    from PIL import Image

    from codec.limits import Limits

_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")
# Keys of `info` under which Pillow expects something other than text.
_RESERVED = ("dpi", "exif", "icc_profile", "transparency", "xmp")
# Raw profiles in PNG text chunks that hold EXIF data or XMP.
_PROFILES = ("exif", "app1", "xmp")
# Bytes reserved for the methods, lengths and separators of the metadata chunks.
_SPARE = 16


class Stored(NamedTuple):
    """Metadata that can be read only before a picture is loaded.

    texts: keys that occur more than once in a PNG file, with all their values. tag: the orientation in a tag
    of a TIFF file, which Pillow itself applies, or None.
    """

    texts: dict[str, str]
    tag: int | None


def read_before_load(picture: Image.Image) -> Stored:
    """Read the metadata that loading a picture discards."""
    tag = None
    if picture.format == "TIFF":
        # Loading turns the pixels and deletes the tag, so a loaded picture is upright.
        loaded = not getattr(picture, "tile", None)
        tag = 1 if loaded else getattr(picture, "tag_v2", {}).get(ORIENTATION)
    return Stored(repeated_texts(picture), tag)


def collect(
    picture: Image.Image,
    stored: Stored,
    layout: str,
    orientation: int,
    limits: Limits,
    notes: list[str],
) -> Metadata:
    """Return the metadata of a loaded picture for its upright pixels; losses are added to `notes`.

    stored: of read_before_load. layout: RGB, L, LA or RGBA, the layout to encode; a colour profile for
    another colour model is dropped. orientation: 1..8, from which the caller turns the pixels. limits:
    metadata above max_metadata_bytes is dropped. Damaged metadata is dropped and raises nothing.
    """
    text = dict(_text(picture)) | stored.texts
    exif, xmp = _exif(picture, notes), _xmp(picture, notes)
    for key, value in list(text.items()):
        exif, xmp = _extract_profile(text, key, value, exif, xmp, notes)
    if exif and orientation != 1:
        exif = turn_thumbnail(exif, orientation, notes)
    turned = orientation != 1 or stored.tag not in (None, 1)
    resources = stored_resources(picture, turned=turned, notes=notes)
    if resources:
        text.update([write_profile("iptc", resources)])
    others = other_segments(picture)
    if others:
        notes.append(f"JPEG segments are not kept: {', '.join(others)}")
    metadata = Metadata(
        icc=_profile(picture, layout, notes),
        exif=exif,
        xmp=upright_xmp(xmp),
        text=tuple(text.items()),
        dpi=stored_dpi(picture, notes),
    )
    most = limits.max_metadata_bytes
    if most is not None and metadata.n_bytes > most - _SPARE:
        notes.append(f"metadata of {metadata.n_bytes:,} bytes is not kept, the limit is {most:,}")
        return Metadata(dpi=metadata.dpi)
    return metadata


def named_orientation(picture: Image.Image, stored: Stored) -> int:
    """Return the orientation, 1..8, of a loaded picture.

    Sources, in order: EXIF data, its copy in a PNG text chunk, XMP. Return 1 if Pillow has applied it.
    """
    if stored.tag is not None:
        return 1
    try:
        orientation = picture.getexif().get(ORIENTATION)
    except Exception:  # Pillow may raise anything; damaged EXIF data must not fail the picture
        orientation = None
    if orientation is not None:
        return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    profiles = [
        _exif_or_xmp(read_profile(value) or b"")
        for key, value in _text(picture)
        if profile_kind(key) in _PROFILES
    ]
    found = [exif_orientation(exif) for exif, _ in profiles if exif]
    found += [xmp_orientation(xmp) for xmp in (_xmp(picture, []), *(xmp for _, xmp in profiles))]
    return next((value for value in found if value), 1)


def at_scale(metadata: Metadata, scale: int) -> Metadata:
    """Return the metadata of a preview at 1/scale: the resolution is divided, so the size in inches stays."""
    if metadata.dpi is None:
        return metadata
    x, y = metadata.dpi
    return replace(metadata, dpi=(x / scale, y / scale))


def attach(metadata: Metadata, picture: Image.Image) -> None:
    """Store metadata in picture.info under the keys that Pillow's own readers use.

    ' (text)' is appended to a text key under which Pillow expects something else.
    """
    picture.info.update(
        {
            f"{key} (text)" if key in _RESERVED else key: value
            for key, value in metadata.text
            if key not in _XMP_KEYS
        }
    )
    if metadata.icc:
        picture.info["icc_profile"] = metadata.icc
    if metadata.exif:
        picture.info["exif"] = PREFIX + metadata.exif
    if metadata.xmp:
        picture.info["xmp"] = metadata.xmp
    if metadata.dpi:
        picture.info["dpi"] = metadata.dpi


def _profile(picture: Image.Image, layout: str, notes: list[str]) -> bytes:
    if picture.mode in ("CMYK", "LAB"):
        return b""
    profile = stored_profile(picture, notes)
    if not profile:
        return b""
    if len(profile) < 128 or profile[36:40] != b"acsp":
        notes.append("the colour profile is damaged and not kept: colours may look different")
        return b""
    if profile[16:20] != (b"GRAY" if layout in ("L", "LA") else b"RGB "):
        notes.append("the colour profile is made for pictures of another kind and is not kept")
        return b""
    return profile


def _exif(picture: Image.Image, notes: list[str]) -> bytes:
    if picture.format == "TIFF":
        return _tiff_tags(picture, notes)
    exif = picture.info.get("exif")
    exif = without_prefix(exif) if isinstance(exif, bytes) else b""
    return _upright_or_empty(exif, notes) if exif else b""


def _upright_or_empty(exif: bytes, notes: list[str]) -> bytes:
    """Return EXIF data with orientation 1, or b'' if it is damaged."""
    upright = upright_exif(exif)
    if upright is None:
        notes.append("EXIF data is damaged and not kept")
    return upright or b""


def _tiff_tags(picture: Image.Image, notes: list[str]) -> bytes:
    """Return the descriptive tags of a TIFF file as EXIF data, or b'' if they cannot be written."""
    try:
        kept = tiff.descriptive_tags(picture.getexif(), notes)
        return without_prefix(kept.tobytes()) if len(kept) else b""
    except Exception:  # Pillow may raise anything; damaged tags must not fail the picture
        notes.append("TIFF tags are damaged and not kept")
        return b""


def _main_xmp(picture: Image.Image) -> bytes:
    for key in _XMP_KEYS:
        xmp = picture.info.get(key)
        if isinstance(xmp, str):
            xmp = xmp.encode(errors="replace")
        if isinstance(xmp, bytes) and xmp:
            return xmp
    return b""


def _xmp(picture: Image.Image, notes: list[str]) -> bytes:
    """Return the XMP packet, joined with the extended part that a JPEG file stores in other segments."""
    xmp = _main_xmp(picture)
    if len(set(segments(picture, "APP1", MAIN_PREFIX))) > 1:
        notes.append("the last of several XMP packets is kept, the others are left out")
    parts = segments(picture, "APP1", EXTENDED_PREFIX)
    if parts or has_reference(xmp):
        joined = join_extended(xmp, parts)
        if joined is None:
            notes.append("the extended part of the XMP is incomplete or damaged and not kept")
            return without_reference(xmp)
        return joined
    return xmp


def _extract_profile(
    text: dict[str, str], key: str, value: str, exif: bytes, xmp: bytes, notes: list[str]
) -> tuple[bytes, bytes]:
    """Move EXIF data or XMP out of a PNG text that holds it as a raw profile; return (exif, xmp).

    If the picture already has different EXIF data or XMP, the text stays in `text`, with orientation 1.
    """
    content = read_profile(value) if (profile_kind(key) or "") in _PROFILES else None
    own_exif, own_xmp = _exif_or_xmp(content or b"")
    if own_exif:
        upright = _upright_or_empty(own_exif, notes)
        prefix = PREFIX
    elif own_xmp:
        upright = upright_xmp(own_xmp)
        prefix = MAIN_PREFIX if content and content.startswith(MAIN_PREFIX) else b""
    else:
        return exif, xmp
    before = exif if own_exif else xmp
    if not before or not upright or upright == before:
        del text[key]
        before = before or upright
    else:
        text[key] = write_profile(profile_kind(key) or "", prefix + upright)[1]
    return (before, xmp) if own_exif else (exif, before)


def _exif_or_xmp(content: bytes) -> tuple[bytes, bytes]:
    """Return the content of a raw profile as (exif, xmp), of which at least one is empty."""
    if content.startswith((PREFIX, b"II*\0", b"MM\0*")):
        return without_prefix(content), b""
    xmp = content.removeprefix(MAIN_PREFIX)
    return b"", xmp if xmp.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") else b""


def _text(picture: Image.Image) -> tuple[tuple[str, str], ...]:
    """Return PNG text chunks, and the comments of JPEG or GIF joined by newlines under 'Comment'."""
    text = dict(getattr(picture, "text", None) or {}) if picture.format == "PNG" else {}
    comment = picture.info.get("comment")
    comments = segments(picture, "COM") or ([comment] if isinstance(comment, bytes) else [])
    joined = "\n".join(comment.decode(errors="replace") for comment in comments if comment)
    if joined:
        text.setdefault("Comment", joined)
    return tuple(
        (key, str(value))
        for key, value in text.items()
        if key and key not in _XMP_KEYS and "\0" not in key + str(value)
    )
