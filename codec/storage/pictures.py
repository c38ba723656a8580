"""Which files of a folder are pictures, by their names."""

from __future__ import annotations

import functools
import os
from pathlib import Path

# Pillow knows these by name, but cannot give their pixels, or they are refused.
_UNREADABLE = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


def is_picture(name: str) -> bool:
    """Tell whether a file's suffix is that of a picture Pillow reads."""
    return os.path.splitext(name)[1].lower() in _suffixes()


def pictures_below(folder: Path) -> list[Path]:
    """Return all pictures below a folder, sorted by name."""
    return sorted(path for path in folder.rglob("*") if is_picture(path.name))


def is_stream(name: str) -> bool:
    """Tell whether a file's suffix is .vae."""
    return name.lower().endswith(".vae")


@functools.cache
def _suffixes() -> frozenset[str]:
    from PIL import Image

    return frozenset(
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if kind in Image.OPEN and kind not in _UNREADABLE and suffix != ".vae"
    )
