"""Which files of a folder are pictures, by their names."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from codec.storage.listing import NothingFound
from codec.storage.mapping import expand

# Pillow knows these by name, but cannot give their pixels, or they are refused.
_UNREADABLE = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


def is_picture(name: str) -> bool:
    """Tell whether a file's suffix is that of a picture Pillow reads."""
    return os.path.splitext(name)[1].lower() in _suffixes()


def pictures_below(folder: Path) -> list[Path]:
    """Return all pictures below a folder, sorted by name, without hidden ones.

    Raises OSError for a folder that cannot be listed, and for a picture that is no regular file.
    """
    found = list(expand(str(folder), is_picture))
    for error in (each.error for each in found):
        if error is not None and not isinstance(error, NothingFound):
            raise error
    return sorted(Path(each.name) for each in found if each.error is None)


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
