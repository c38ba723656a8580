"""Picture formats that `vaezip decompress` writes, chosen by suffix, and what each can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from codec.cli.jobs import STANDARD
from codec.errors import UsageError
from codec.files import writes_through

if TYPE_CHECKING:
    from PIL import Image

    from codec.cli.held import Held

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


def choose(target: str) -> Format:
    """Return the format that an output's name asks for; pipes and devices whose name has none get PNG."""
    suffix = Path(target).suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    if target == STANDARD or (not suffix and writes_through(target)):
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
    return lost + _held(picture, chosen).lost


def save(picture: Image.Image, chosen: Format, file: IO[bytes]) -> None:
    """Write a picture file, with all metadata that the format holds."""
    options = _held(picture, chosen).options
    if "A" in picture.getbands() and not chosen.alpha:
        picture = _over_white(picture)
    # Pillow's writers take much from there by themselves, and any text may have a key that they know.
    info, picture.info = picture.info, {}
    try:
        picture.save(file, format=chosen.name, **chosen.options, **options)
    finally:
        picture.info = info


def _held(picture: Image.Image, chosen: Format) -> Held:
    from codec.cli.held import held

    mode = picture.mode if chosen.alpha else picture.mode.removesuffix("A")
    return held(picture, mode, chosen.name, chosen.metadata, chosen.options)


def _over_white(picture: Image.Image) -> Image.Image:
    from PIL import Image

    colour = "L" if picture.mode == "LA" else "RGB"
    white = Image.new(colour, picture.size, "white")
    white.paste(picture.convert(colour), mask=picture.getchannel("A"))
    return white
