"""Picture formats that `vaezip decompress` writes, chosen by suffix, and what each can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from codec.cli.jobs import STANDARD
from codec.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

_XMP_TAG = 700
_ALL = frozenset({"icc_profile", "exif", "xmp", "dpi", "text"})


@dataclass(frozen=True)
class Format:
    """A Pillow format, the options that keep most of a picture, and what it can hold.

    max_side: pixels. alpha: whether transparency is held. metadata: which of `_ALL`.
    """

    name: str
    options: dict[str, object] = field(default_factory=dict)
    max_side: int = 2**31 - 1
    alpha: bool = True
    metadata: frozenset[str] = frozenset()


_PNG = Format("PNG", metadata=_ALL)
# Not compressed: libtiff would keep all it compresses in memory, unless it wrote past Python's file object.
_TIFF = Format("TIFF", metadata=_ALL - {"text"})
_JPEG = Format("JPEG", {"quality": 95, "subsampling": "4:4:4"}, 65500, alpha=False, metadata=_ALL - {"text"})

FORMATS = {
    ".png": _PNG,
    ".webp": Format("WEBP", {"lossless": True, "exact": True}, 16383, metadata=_ALL - {"dpi", "text"}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": Format("BMP", alpha=False, metadata=frozenset({"dpi"})),
    ".ppm": Format("PPM", alpha=False),
    ".tga": Format("TGA", max_side=65535),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}
_NAMES = {"icc_profile": "colour profile", "exif": "EXIF", "xmp": "XMP", "dpi": "resolution", "text": "text"}


def choose(target: str) -> Format:
    """Return the format that an output's name asks for; standard output and devices get PNG."""
    path = Path(target)
    suffix = path.suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    if target == STANDARD or (not suffix and path.exists() and not path.is_file() and not path.is_dir()):
        return _PNG
    known = ", ".join(FORMATS)
    what = f"cannot write '{suffix}' pictures" if suffix else "has no suffix to choose a format by"
    raise UsageError(f"{target}: {what}; use one of {known}")


def check_size(target: str, chosen: Format, width: int, height: int) -> None:
    """Refuse a picture whose sides the format cannot hold, before it is decoded."""
    if max(width, height) > chosen.max_side:
        raise UsageError(
            f"{target}: {chosen.name} holds at most {chosen.max_side} pixels a side and the picture is "
            f"{width}x{height}; write .png instead"
        )


def losses(picture: Image.Image, chosen: Format) -> list[str]:
    """Return what the format cannot hold of a decoded picture, in words for a warning."""
    lost = []
    if "A" in picture.getbands() and not chosen.alpha:
        lost.append(f"{chosen.name} holds no transparency: the picture is laid over white")
    left_out = [_NAMES[key] for key in sorted(_metadata(picture)) if key not in chosen.metadata]
    if left_out:
        lost.append(f"{chosen.name} does not hold {', '.join(left_out)}: left out")
    return lost


def save(picture: Image.Image, chosen: Format, file: IO[bytes]) -> None:
    """Write a picture file, with all metadata that the format holds."""
    options: dict[str, Any] = dict(chosen.options)
    found = {key: value for key, value in _metadata(picture).items() if key in chosen.metadata}
    text = found.pop("text", None)
    if text:
        options["pnginfo"] = _png_text(text)
    if chosen.name == "TIFF" and "xmp" in found:
        found["exif"] = _with_xmp(found.get("exif", b""), found.pop("xmp"))
    if chosen.name == "PNG" and "xmp" in found:
        options.setdefault("pnginfo", _png_text({})).add_itxt(
            "XML:com.adobe.xmp", found.pop("xmp").decode(errors="replace")
        )
    if "A" in picture.getbands() and not chosen.alpha:
        picture = _over_white(picture)
    picture.save(file, format=chosen.name, **options, **found)


def _metadata(picture: Image.Image) -> dict[str, Any]:
    """Return metadata of a decoded picture under the names of Pillow's options, text as a dictionary."""
    found: dict[str, Any] = {key: picture.info[key] for key in _ALL if picture.info.get(key)}
    text = {key: value for key, value in picture.info.items() if isinstance(value, str)}
    return {**found, "text": text} if text else found


def _png_text(text: dict[str, str]) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in text.items():
        # PNG wants keys of at most 79 Latin-1 characters; Pillow finds the chunk that holds the value.
        info.add_text(key.encode("latin-1", "replace")[:79].decode("latin-1"), value)
    return info


def _with_xmp(exif: bytes, xmp: bytes) -> bytes:
    """Return EXIF data with a tag more, for TIFF, where both are tags of one directory."""
    from PIL import Image

    tags = Image.Exif()
    tags.load(exif)
    tags[_XMP_TAG] = xmp
    return tags.tobytes()


def _over_white(picture: Image.Image) -> Image.Image:
    from PIL import Image

    colour = "L" if picture.mode == "LA" else "RGB"
    white = Image.new(colour, picture.size, "white")
    white.paste(picture.convert(colour), mask=picture.getchannel("A"))
    return white
