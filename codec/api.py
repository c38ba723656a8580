"""The functions `compress`, `decompress` and `info` of `codec`, where a newcomer starts to read.

What takes long to import is imported in the functions: a file with a bad header costs no torch.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Unpack

from codec.bitstream.container import read_info
from codec.bitstream.header import ImageInfo, parse_header
from codec.bitstream.wire import Data, given
from codec.errors import CodecError
from codec.limits import DEFAULT_LIMITS, Limits
from codec.model.index import from_rate_index, model_entry

if TYPE_CHECKING:
    from PIL import Image

    from codec.decode.decoder import Decoder
    from codec.encode.encoder import Encoder
    from codec.encode.options import EncodeKeywords
    from codec.image.load import PictureLike


def compress(image: PictureLike, quality: float = 75, **options: Unpack[EncodeKeywords]) -> bytes:
    """Compress one picture to the bytes of a .vae file; options as for `Encoder`.

    image: a PIL image, an array uint8 [H, W] or [H, W, 1 to 4], a path, or the bytes of a file.
    quality: 0 to 100. Raises as `Encoder` and `Encoder.encode` do.
    """
    from codec.encode.encoder import Encoder

    encoder = Encoder(quality, **options) if options else _encoder(quality)
    return encoder.encode(image)


@functools.lru_cache(maxsize=16)
def _encoder(quality: float) -> Encoder:
    from codec.encode.encoder import Encoder

    return Encoder(quality)


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
    """Decompress one file, its bytes or its path, with the default limits; see `Decoder.decode`."""
    with given(data) as view:
        parse_header(view)
        return _decoder().decode(view)


@functools.cache
def _decoder() -> Decoder:
    from codec.decode.decoder import Decoder

    return Decoder()
