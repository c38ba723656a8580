"""The table of codecs to compare: settings, qualities, and functions to encode and decode.

Classical codecs run through Pillow, with the settings a careful user would choose for small files at the
usual speed of the codec. A codec that is not installed raises MissingCodec and is left out, never replaced.
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
from PIL import Image, features

import codec
from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX
from codec.encode.options import DEFAULT_EFFORT
from codec.errors import BenchmarkError, UsageError
from codec.image.load import ConversionWarning, RgbArray, load_rgb
from codec.model.index import default_model_id

if TYPE_CHECKING:
    from codec.encode.encoder import Encoder


class MissingCodec(BenchmarkError):
    """A codec is not installed."""


@dataclass(frozen=True)
class BenchCodec:
    """One codec with fixed settings.

    Attributes:
        name: short name in results and on the command line.
        label: name for display.
        settings: everything that differs from the library's defaults, to reproduce a point.
        qualities: at least 10 values of the codec's own scale, from small files to large ones.
        version: returns library and version; raises MissingCodec.
        encode: (pixels uint8 [H, W, 3], quality) -> the bytes of a whole file.
        decode: those bytes -> pixels uint8 [H, W, 3].
        slow: True if a run includes the codec only when named.
    """

    name: str
    label: str
    settings: str
    qualities: tuple[int, ...]
    version: Callable[[], str]
    encode: Callable[[RgbArray, int], bytes]
    decode: Callable[[bytes], RgbArray]
    slow: bool = False


_LIBRARIES = {"jpg": "libjpeg", "webp": "libwebp", "avif": "libavif", "jpg_2000": "OpenJPEG"}


def _pillow_version(feature: str) -> str:
    found = features.version(feature)
    if found is None:
        raise MissingCodec(f"this Pillow has no {feature}; install a wheel of Pillow 12 or newer")
    library = _LIBRARIES[feature]
    # The version of "jpg" is that of the libjpeg interface; libjpeg-turbo has its own version.
    if feature == "jpg" and (turbo := features.version("libjpeg_turbo")):
        library, found = "libjpeg-turbo", turbo
    return f"{library} {found}, Pillow {PIL.__version__}"


def _jxl_version() -> str:
    try:
        import_module("pillow_jxl")  # registers the format
    except ModuleNotFoundError as error:
        raise MissingCodec("needs pillow-jxl-plugin; pip install 'vaezip[bench]'") from error
    return f"pillow-jxl-plugin {package_version('pillow-jxl-plugin')}, Pillow {PIL.__version__}"


def _vaezip_version() -> str:
    return f"vaezip {codec.__version__}, model {default_model_id().hex()}"


def _save(pixels: RgbArray, quality: int, *, kind: str, scale: str = "quality", **options: Any) -> bytes:
    stream = io.BytesIO()
    # JPEG 2000 needs a list of qualities, one for each layer.
    setting: Any = [quality] if scale == "quality_layers" else quality
    Image.fromarray(pixels).save(stream, kind, **{scale: setting}, **options)
    return stream.getvalue()


def _load(data: bytes) -> RgbArray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


@functools.cache
def _encoder() -> Encoder:
    return codec.Encoder(threads=1)


def _vaezip_encode(pixels: RgbArray, rate_index: int) -> bytes:
    # One encoder is reused. Setting its rate index is not safe from several threads at once.
    encoder = _encoder()
    encoder.rate_index = rate_index
    return encoder.encode(pixels)


@functools.cache
def _decode_vaezip() -> Callable[[bytes], RgbArray]:
    decoder = codec.Decoder(threads=1)
    return lambda data: np.asarray(decoder.decode(data))


def _vaezip_decode(data: bytes) -> RgbArray:
    return _decode_vaezip()(data)


def _row(
    name: str,
    label: str,
    feature: str,
    qualities: tuple[int, ...],
    *,
    kind: str,
    slow: bool = False,
    scale: str = "quality",
    **options: Any,
) -> BenchCodec:
    """Return the row of a codec in Pillow."""
    version = _jxl_version if feature == "jxl" else functools.partial(_pillow_version, feature)
    encode = functools.partial(_save, kind=kind, scale=scale, **options)
    settings = ", ".join([f"{scale}=Q", *(f"{key}={value}" for key, value in options.items())])
    return BenchCodec(name, label, settings, qualities, version, encode, _load, slow)


_JPEG = (2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95)
_WEBP = (0, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 100)
_AVIF = (10, 20, 30, 40, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95)
_JXL = (5, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 93, 95)
# Compression ratios relative to 24 bits per pixel, the usual setting of this codec.
_JP2 = (160, 120, 96, 80, 64, 48, 40, 32, 24, 20, 16, 12, 10, 8)
# Above the last but a few, many tiles are lossless.
_RATE_INDICES = tuple(range(0, 3585, 256))
_JPEG_OPTIONS: dict[str, Any] = {"optimize": True, "progressive": True}
# The bytes of AVIF depend on the number of threads; a run uses all cores by processes.
_AVIF_OPTIONS: dict[str, Any] = {"max_threads": 1}

CODECS: tuple[BenchCodec, ...] = (
    BenchCodec(
        "vaezip",
        "vaezip",
        f"effort {DEFAULT_EFFORT}; Q is the rate index 0..{MAX_HEADER_RATE_INDEX} that `vaezip info` shows",
        _RATE_INDICES,
        _vaezip_version,
        _vaezip_encode,
        _vaezip_decode,
    ),
    _row("jpeg", "JPEG 4:2:0", "jpg", _JPEG, kind="JPEG", subsampling="4:2:0", **_JPEG_OPTIONS),
    _row("jpeg-444", "JPEG 4:4:4", "jpg", _JPEG, kind="JPEG", subsampling="4:4:4", **_JPEG_OPTIONS),
    _row("webp", "WebP", "webp", _WEBP, kind="WEBP", method=6),
    _row("avif", "AVIF 4:2:0", "avif", _AVIF, kind="AVIF", subsampling="4:2:0", speed=6, **_AVIF_OPTIONS),
    _row("avif-444", "AVIF 4:4:4", "avif", _AVIF, kind="AVIF", subsampling="4:4:4", speed=6, **_AVIF_OPTIONS),
    _row("jxl", "JPEG XL", "jxl", _JXL, kind="JXL", effort=7),
    _row(
        "jp2",
        "JPEG 2000",
        "jpg_2000",
        _JP2,
        kind="JPEG2000",
        scale="quality_layers",
        quality_mode="rates",
        irreversible=True,
        # Pillow's default is no colour transform, which takes twice the bits at equal quality.
        mct=1,
    ),
    _row(
        "avif-slow",
        "AVIF 4:4:4, speed 2",
        "avif",
        _AVIF,
        kind="AVIF",
        slow=True,
        subsampling="4:4:4",
        speed=2,
        **_AVIF_OPTIONS,
    ),
    _row("jxl-slow", "JPEG XL, effort 9", "jxl", _JXL, kind="JXL", slow=True, effort=9),
)


def find_codec(name: str) -> BenchCodec:
    """Return the codec of a name. Raises UsageError."""
    for row in CODECS:
        if row.name == name:
            return row
    raise UsageError(f"unknown codec {name!r}; choose from {', '.join(row.name for row in CODECS)}")


def read_pixels(path: Path) -> RgbArray:
    """Read a picture as sRGB, uint8 [H, W, 3], the input of all codecs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return load_rgb(path)
