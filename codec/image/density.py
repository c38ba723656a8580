"""The resolution of a picture, or the shape of its pixels, as its file names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codec.image.tiff_tags import X_RESOLUTION

if TYPE_CHECKING:
    from PIL import Image

_MAX_DPI = 1e6


def stored_dpi(picture: Image.Image, notes: list[str]) -> tuple[float, float] | None:
    """Return pixels per inch, horizontal and vertical, that a loaded picture names, or None.

    What cannot be kept, as a ratio without a unit, is told in `notes`.
    """
    info = picture.info
    dpi = info.get("dpi")
    # Where a JPEG's own header names none, Pillow takes it from EXIF data, which is kept, or makes it up.
    if picture.format in ("JPEG", "MPO") and info.get("jfif_unit") not in (1, 2):
        dpi = None
    # Without a resolution in the file it makes one up as well.
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


def _aspect(picture: Image.Image) -> tuple[Any, ...]:
    """Return horizontal and vertical resolution of a picture that names them without a unit."""
    keys = {"PNG": "aspect", "TIFF": "resolution", "JPEG": "jfif_density", "MPO": "jfif_density"}
    value = picture.info.get(keys.get(picture.format or "", ""))
    return value if isinstance(value, tuple) else ()
