"""What a .vae file says about itself; needs neither torch nor numpy."""

from __future__ import annotations

import os
from pathlib import Path

from codec.bitstream.container import read_info
from codec.errors import UsageError
from codec.limits import DEFAULT_LIMITS, Limits
from codec.types import ImageInfo


def info(
    source: bytes | bytearray | memoryview | str | os.PathLike[str], *, limits: Limits = DEFAULT_LIMITS
) -> ImageInfo:
    """Describe a .vae file, given as its bytes or its path, without decoding any pixels.

    Header and structure are checked, the coded pixels are not. Raises FormatError for data that is no
    sound .vae file, LimitExceeded for a larger picture than `limits` allow, OSError for an unreadable file.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return read_info(memoryview(source), limits)
    if isinstance(source, (str, os.PathLike)):
        return read_info(Path(source).read_bytes(), limits)
    raise UsageError(f"cannot read from {type(source).__name__}; pass the bytes or the path of a .vae file")
