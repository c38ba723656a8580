"""One-shot functions of the package: `compress`, `decompress` and `info`.

The encoder, the decoder and torch are imported inside the functions: a file with a damaged header is refused
before torch is loaded.
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
    """Compress one picture and return the bytes of its .vae file.

    image: a PIL image, an array uint8 [H, W] or [H, W, 1 to 4], a path, or the bytes of a picture file.
    quality: 0 (smallest) to 100 (best, still lossy). options: the keywords of `Encoder`.
    Raises the errors of `Encoder` and `Encoder.encode`.
    """
    from codec.encode.encoder import Encoder

    encoder = Encoder(quality, **options) if options else _encoder(quality)
    return encoder.encode(image)


def decompress(data: Data) -> Image.Image:
    """Decompress one .vae file with the default limits.

    data: the bytes of the file, or its path. Raises the errors of `Decoder.decode`.
    """
    with given(data) as view:
        parse_header(view)
        return _decoder().decode(view)


def info(source: Data, *, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Return the header fields and structure of a .vae file without decoding pixels.

    source: the bytes of the file, or its path. Header and chunk structure are checked, coded tiles are not.
    Raises FormatError for data that is not an intact .vae file, LimitExceeded for a picture beyond `limits`,
    UsageError for a source that is neither bytes nor a path, OSError for a file that cannot be read.
    A message about a path begins with the path.
    """
    with given(source) as view:
        found = read_info(view, limits)
    return dataclasses.replace(found, quality=_quality(found))


def _quality(found: ImageInfo) -> float | None:
    """Return the quality, 0 to 100, of a file's rate index, or None if its model is not installed."""
    try:
        entry = model_entry(bytes.fromhex(found.model_id))
    except CodecError:
        return None
    return from_rate_index(found.rate_index, entry)


@functools.lru_cache(maxsize=16)
def _encoder(quality: float) -> Encoder:
    from codec.encode.encoder import Encoder

    return Encoder(quality)


@functools.cache
def _decoder() -> Decoder:
    from codec.decode.decoder import Decoder

    return Decoder()
