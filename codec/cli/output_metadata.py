"""Fit a picture's metadata to an output format; omitted parts are listed for a warning."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

NAMES = {"icc_profile": "colour profile", "exif": "EXIF", "xmp": "XMP", "dpi": "resolution", "text": "text"}

_OPTIONS = {**NAMES, "pnginfo": "text and XMP", "extra": "XMP, IPTC and comment"}
_JPEG_SEGMENT = 65_533
# At most 255 segments, each with a prefix of 12 bytes, its number and the number of segments.
_JPEG_PROFILE = 255 * (_JPEG_SEGMENT - 14)
_COMMENT = "Comment"
_IPTC = "IPTC"


class FittedMetadata(NamedTuple):
    """Metadata as options of Pillow's writer, and texts of warnings about what is omitted."""

    options: dict[str, Any]
    lost: list[str]


def metadata_of(picture: Image.Image) -> dict[str, Any]:
    """Return the metadata of a decoded picture by the keys of NAMES, text as a dictionary."""
    kinds = {"icc_profile": bytes, "exif": bytes, "xmp": bytes, "dpi": tuple}
    found: dict[str, Any] = {
        key: picture.info[key]
        for key, kind in kinds.items()
        if picture.info.get(key) and isinstance(picture.info[key], kind)
    }
    text = {key: value for key, value in picture.info.items() if isinstance(value, str)}
    return {**found, "text": text} if text else found


def fit_metadata(
    picture: Image.Image, mode: str, name: str, accepted: frozenset[str], plain: dict[str, object]
) -> FittedMetadata:
    """Return the metadata of a picture that a format can store, and warnings about the rest.

    mode: Pillow mode of the written pixels. name: Pillow's name of the format. accepted: keys of NAMES that
    the format can store. plain: options of its writer other than metadata.
    """
    found = metadata_of(picture)
    text, resources = _without_iptc(found.get("text", {}))
    refused = [NAMES[key] for key in sorted(found) if key not in accepted and key != "text"]
    if "text" not in accepted:
        refused += [_IPTC] * bool(resources) + [NAMES["text"]] * bool(text)
    options = {key: value for key, value in found.items() if key in accepted}
    fit = {"JPEG": _jpeg, "PNG": _png, "TIFF": _tiff, "WEBP": _webp, "BMP": _bmp}.get(name)
    if fit is not None:
        options = fit(_Source(mode, text, resources), options, refused)
    lost = [f"{name} cannot store {', '.join(refused)}: left out"] if refused else []
    return FittedMetadata(_writable(mode, name, options, plain, lost), lost)


class _Source(NamedTuple):
    """A picture's mode, its texts without IPTC, and its Photoshop image resources, which contain IPTC."""

    mode: str
    text: dict[str, str]
    resources: bytes


def _jpeg(given: _Source, options: dict[str, Any], refused: list[str]) -> dict[str, Any]:
    from codec.image.jpeg import PHOTOSHOP_PREFIX
    from codec.image.xmp import MAIN_PREFIX, split_extended

    extra = b""
    resources = PHOTOSHOP_PREFIX + given.resources
    if given.resources and len(resources) <= _JPEG_SEGMENT:
        extra += _segment(0xED, resources)
        refused.remove(_IPTC)
    comment = given.text.get(_COMMENT, "").encode()
    if comment and len(comment) <= _JPEG_SEGMENT:
        extra += _segment(0xFE, comment)
        if len(given.text) == 1:
            refused.remove(NAMES["text"])
    xmp = options.pop("xmp", b"")
    packets = split_extended(xmp) if xmp else None
    if packets:
        main, parts = packets
        extra += b"".join(_segment(0xE1, payload) for payload in (MAIN_PREFIX + main, *parts))
    elif xmp:
        refused.append(f"XMP of {len(xmp):,} bytes")
    for key, most in (("exif", _JPEG_SEGMENT), ("icc_profile", _JPEG_PROFILE)):
        if len(options.get(key, b"")) > most:
            refused.append(f"{NAMES[key]} of {len(options.pop(key)):,} bytes")
    _check_density(options, round, 0xFFFF, refused)
    return {**options, "extra": extra} if extra else options


def _png(given: _Source, options: dict[str, Any], refused: list[str]) -> dict[str, Any]:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in options.pop("text", {}).items():
        # PNG requires keys of 1 to 79 Latin-1 characters; Pillow selects the chunk type for the value.
        name = key.encode("latin-1", "replace")[:79].decode("latin-1")
        if name:
            info.add_text(name, value)
        if name != key:
            refused.append(f"the whole text key '{key[:100]}'")
        elif not key:
            refused.append("text without a key")
    xmp = options.pop("xmp", None)
    if xmp:
        try:
            info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        except UnicodeDecodeError:
            refused.append("XMP in another encoding than UTF-8")
    _check_density(options, _per_metre, 2**31 - 1, refused)
    return {**options, "pnginfo": info} if info.chunks else options


def _tiff(given: _Source, options: dict[str, Any], refused: list[str]) -> dict[str, Any]:
    from PIL import Image

    from codec.image import tiff
    from codec.image.exif import thumbnail_of, upright_exif, without_prefix
    from codec.image.jpeg import IPTC, read_resources

    exif = without_prefix(options.pop("exif", b""))
    tags = tiff.tags_for_writing(exif)
    if tags is None or (exif and upright_exif(exif) is None):
        refused.append("damaged EXIF")
        tags = Image.Exif()
    elif thumbnail_of(exif):
        refused.append("the thumbnail in EXIF")
    if given.resources:
        found = read_resources(given.resources) or []
        others = b"".join(resource.whole for resource in found if resource.number != IPTC)
        if others:
            tags[tiff.PHOTOSHOP] = others
        for resource in found:
            if resource.number == IPTC:
                tags[tiff.IPTC] = resource.content
        refused.remove(_IPTC)
    if "xmp" in options:
        tags[tiff.XMP] = options.pop("xmp")
    return {**options, "exif": tags} if len(tags) else options


def _webp(given: _Source, options: dict[str, Any], refused: list[str]) -> dict[str, Any]:
    # WebP stores gray as RGB, for which a gray profile is wrong.
    if given.mode in ("L", "LA") and options.pop("icc_profile", None):
        refused.append("colour profile of gray pictures")
    return options


def _bmp(given: _Source, options: dict[str, Any], refused: list[str]) -> dict[str, Any]:
    _check_density(options, _per_metre, 2**31 - 1, refused)
    return options


def _per_metre(dpi: float) -> int:
    return int(dpi / 0.0254 + 0.5)


def _check_density(
    options: dict[str, Any], stored: Callable[[float], int], most: int, refused: list[str]
) -> None:
    """Remove a resolution whose stored number would not be in 1..`most`. stored: dpi to that number."""
    dpi = options.get("dpi")
    if dpi and not all(1 <= stored(value) <= most for value in dpi):
        refused.append(f"a resolution of {dpi[0]:g} x {dpi[1]:g} pixels per inch")
        del options["dpi"]


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


def _without_iptc(text: dict[str, str]) -> tuple[dict[str, str], bytes]:
    """Return the texts without the one that contains IPTC, and its content as Photoshop image resources."""
    from codec.image.jpeg import IPTC, pack_resource, read_resources
    from codec.image.png import profile_kind, read_profile

    for key, value in text.items():
        content = read_profile(value) if profile_kind(key) == "iptc" else None
        if content and content.startswith(b"\x1c"):
            content = pack_resource(IPTC, content)
        if content and read_resources(content):
            return {k: v for k, v in text.items() if k != key}, content
    return text, b""


def _writable(
    mode: str, name: str, options: dict[str, Any], plain: dict[str, object], lost: list[str]
) -> dict[str, Any]:
    """Return the options with which Pillow can write a picture of one pixel; append the others to `lost`.

    For damaged metadata Pillow raises any exception; the picture must be written all the same.
    """
    from PIL import Image

    def works(**tried: Any) -> bool:
        try:
            Image.new(mode, (1, 1)).save(BytesIO(), name, **plain, **tried)
        except MemoryError:
            raise
        except Exception:
            return False
        return True

    if works(**options):
        return options
    kept = {key: value for key, value in options.items() if works(**{key: value})}
    omitted = ", ".join(_OPTIONS.get(key, key) for key in options if key not in kept)
    lost.append(f"{omitted} could not be written to {name}: left out")
    return kept
