"""Picture formats that `vaezip decompress` writes, chosen by suffix."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from codec.cli.jobs import STANDARD
from codec.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Format:
    """A Pillow format that holds 8-bit RGB, the options that keep most of it, and its largest side."""

    name: str
    options: dict[str, object] = field(default_factory=dict)
    max_side: int = 2**31 - 1


_PNG = Format("PNG")
_TIFF = Format("TIFF", {"compression": "tiff_deflate"})
_JPEG = Format("JPEG", {"quality": 95, "subsampling": "4:4:4"}, 65500)

FORMATS = {
    ".png": _PNG,
    ".webp": Format("WEBP", {"lossless": True}, 16383),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": Format("BMP"),
    ".ppm": Format("PPM"),
    ".tga": Format("TGA", max_side=65535),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}


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


def save(picture: Image.Image, chosen: Format) -> bytes:
    """Return the bytes of a picture file."""
    buffer = BytesIO()
    picture.save(buffer, format=chosen.name, **chosen.options)
    return buffer.getvalue()
