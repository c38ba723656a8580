"""vaezip: a learned image codec.

`compress` turns a picture into the bytes of a `.vae` file, `decompress` turns them back, `info` reads the
header. `Encoder` and `Decoder` keep a loaded model for repeated use. Every error raised on purpose is a
`CodecError`. Importing this package loads neither torch nor numpy: public names are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_EXPORTS = {
    "BackendMismatch": "codec.errors",
    "BackendMissing": "codec.errors",
    "BadMagic": "codec.errors",
    "ChecksumMismatch": "codec.errors",
    "CodecError": "codec.errors",
    "ConversionWarning": "codec.image.load",
    "CorruptPayload": "codec.errors",
    "Decoder": "codec.decode.decoder",
    "EncodeOptions": "codec.encode.options",
    "Encoder": "codec.encode.encoder",
    "Failure": "codec.errors",
    "FormatError": "codec.errors",
    "ImageInfo": "codec.bitstream.header",
    "LimitExceeded": "codec.errors",
    "Limits": "codec.limits",
    "TruncatedData": "codec.errors",
    "UnknownModel": "codec.errors",
    "UnsupportedImage": "codec.errors",
    "UnsupportedVersion": "codec.errors",
    "UsageError": "codec.errors",
    "WeightsError": "codec.errors",
    "compress": "codec.api",
    "decompress": "codec.api",
    "info": "codec.api",
    "salvage": "codec.decode.salvage",
    "verify": "codec.decode.symbols",
}

if TYPE_CHECKING:
    from codec.api import compress, decompress, info
    from codec.bitstream.header import ImageInfo
    from codec.decode.decoder import Decoder
    from codec.decode.salvage import salvage
    from codec.decode.symbols import verify
    from codec.encode.encoder import Encoder
    from codec.encode.options import EncodeOptions
    from codec.errors import (
        BackendMismatch,
        BackendMissing,
        BadMagic,
        ChecksumMismatch,
        CodecError,
        CorruptPayload,
        Failure,
        FormatError,
        LimitExceeded,
        TruncatedData,
        UnknownModel,
        UnsupportedImage,
        UnsupportedVersion,
        UsageError,
        WeightsError,
    )
    from codec.image.load import ConversionWarning
    from codec.limits import Limits

__all__ = [
    "BackendMismatch",
    "BackendMissing",
    "BadMagic",
    "ChecksumMismatch",
    "CodecError",
    "ConversionWarning",
    "CorruptPayload",
    "Decoder",
    "EncodeOptions",
    "Encoder",
    "Failure",
    "FormatError",
    "ImageInfo",
    "LimitExceeded",
    "Limits",
    "TruncatedData",
    "UnknownModel",
    "UnsupportedImage",
    "UnsupportedVersion",
    "UsageError",
    "WeightsError",
    "__version__",
    "compress",
    "decompress",
    "info",
    "salvage",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_EXPORTS))
