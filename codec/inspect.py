"""What a .vae file says about itself; needs neither torch nor numpy."""

from __future__ import annotations

import dataclasses

from codec.bitstream.container import read_info
from codec.bitstream.given import Data, given
from codec.errors import CodecError
from codec.limits import DEFAULT_LIMITS, Limits
from codec.model.index import model_entry
from codec.model.quality import from_rate_index
from codec.types import ImageInfo


def info(source: Data, *, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Describe a .vae file, given as its bytes or its path, without decoding any pixels.

    Header and structure are checked, the coded pixels are not. Raises FormatError for data that is no
    sound .vae file, LimitExceeded for a larger picture than `limits` allow, UsageError for what is no file,
    OSError for an unreadable one. Messages about a path begin with it.
    """
    with given(source) as view:
        found = read_info(view, limits)
    return dataclasses.replace(found, quality=_quality(found))


def _quality(found: ImageInfo) -> float | None:
    try:
        entry = model_entry(bytes.fromhex(found.model_id))
    except CodecError:
        return None
    return from_rate_index(found.rate_index, entry)
