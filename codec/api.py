"""The functions of `codec`: compress, decompress, info. A file with a bad header costs no torch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from codec.bitstream.container import read_info
from codec.bitstream.header import ImageInfo, parse_header
from codec.bitstream.wire import Data, given
from codec.errors import CodecError
from codec.limits import DEFAULT_LIMITS, Limits
from codec.model.index import from_rate_index, model_entry

if TYPE_CHECKING:
    from PIL import Image


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


def decompress(data: Data) -> Image.Image:
    """Decompress one file, its bytes or its path, with the default limits; see `Decoder`."""
    with given(data) as view:
        parse_header(view)
        from codec.decode.decoder import decompress as decode

        return decode(view)
