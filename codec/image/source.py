"""Opening of picture files by Pillow, with every fault of a file turned into a CodecError."""

from __future__ import annotations

import re
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from codec.errors import CodecError, LimitExceeded, UnsupportedImage

if TYPE_CHECKING:
    from collections.abc import Iterator

# Pillow's own refusal threshold, kept even where a caller has lifted Pillow's.
MAX_PIXELS = 178_956_970
MAX_FILE_BYTES = 1 << 30
_VAE_SIGNATURE = re.compile(rb"\A.?vae", re.DOTALL | re.IGNORECASE)


@contextmanager
def pillow_errors() -> Iterator[None]:
    """Turn whatever Pillow raises over a damaged or hostile picture into a CodecError.

    Errors of the disk (an OSError with an errno) and MemoryError pass through unchanged.
    """
    try:
        yield
    except (CodecError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        declared = re.search(r"\d+", str(error))
        raise too_many_pixels(int(declared[0]) if declared else 0, MAX_PIXELS) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(error) from error
    except Exception as error:  # Pillow's readers raise SyntaxError, struct.error, zlib.error, IndexError, ...
        raise _damaged(error) from error


@contextmanager
def open_picture(source: str | Path | bytes | bytearray | memoryview) -> Iterator[Image.Image]:
    """Open a picture from a path or from the bytes of a file; pixels are not decoded yet."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        with _opened(BytesIO(source)) as picture:
            yield picture
        return
    with Path(source).open("rb") as stream:
        seekable: IO[bytes] = stream if stream.seekable() else BytesIO(read_bounded(stream))
        with _opened(seekable) as picture:
            yield picture


def read_bounded(stream: IO[bytes], limit: int = MAX_FILE_BYTES) -> bytes:
    """Read a stream to its end; raises LimitExceeded where it is longer than `limit` bytes."""
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise LimitExceeded(f"more than {limit:,} bytes of input; pass a smaller file")
    return data


def check_pixels(width: int, height: int, limit: int) -> None:
    """Refuse a picture by its declared size, before anything of that size is allocated."""
    if width < 1 or height < 1:
        raise UnsupportedImage(f"has no pixels ({width}x{height}); pass a picture of at least 1x1")
    if width * height > limit:
        raise too_many_pixels(width * height, limit)


def too_many_pixels(n_pixels: int, limit: int) -> LimitExceeded:
    """Build the error for a picture larger than `limit` pixels."""
    return LimitExceeded(
        f"declares {n_pixels:,} pixels and the limit is {limit:,}; scale it down or cut it into parts",
        field="pixels",
    )


@contextmanager
def _opened(stream: IO[bytes]) -> Iterator[Image.Image]:
    start = stream.read(16)
    stream.seek(0)
    if not start:
        raise UnsupportedImage("is empty; pass a picture file")
    with pillow_errors():
        try:
            picture = Image.open(stream)
        except UnidentifiedImageError as error:
            if _VAE_SIGNATURE.match(start):
                raise UnsupportedImage("is a .vae file already; 'vaezip decompress' opens it") from error
            raise UnsupportedImage(
                "is not a picture that Pillow can read; convert it to PNG, JPEG, WebP or TIFF first"
            ) from error
    with picture:
        if picture.format == "EPS":
            # Reading one would run Ghostscript, a whole programming language, on the file.
            raise UnsupportedImage("is PostScript, which is never run here; convert it to PNG first")
        yield picture


def _damaged(error: Exception) -> UnsupportedImage:
    detail = " ".join(str(error).split()) or type(error).__name__
    return UnsupportedImage(f"damaged or incomplete picture ({detail}); save it again from its source")
