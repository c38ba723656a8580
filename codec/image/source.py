"""Opening of picture files by Pillow, with every fault of a file turned into a CodecError."""

from __future__ import annotations

import re
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from codec.bitstream.header import SIGNATURE
from codec.errors import CodecError, LimitExceeded, UnsupportedImage
from codec.image import png_chunks, tiff
from codec.image.raw import N_START_BYTES, refuse_raw_start, what_pillow_lacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codec.limits import Limits

MAX_FILE_BYTES = 1 << 30


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
        declared, limit, *_ = *map(int, re.findall(r"\d+", str(error))), 0, 0
        raise _too_many_pixels(declared, limit) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(error) from error
    except (
        Exception
    ) as error:  # Pillow's readers raise SyntaxError, struct.error, zlib.error, IndexError, ...
        raise _damaged(error) from error


@contextmanager
def open_picture(
    source: str | Path | bytes | bytearray | memoryview, notes: list[str] | None = None
) -> Iterator[Image.Image]:
    """Open a picture from a path or from the bytes of a file; pixels are not decoded yet.

    Damage that leaves a picture is told in `notes`. Raises UnsupportedImage for all that is none.
    """
    notes = [] if notes is None else notes
    if isinstance(source, (bytes, bytearray, memoryview)):
        with _opened(BytesIO(source), notes) as picture:
            yield picture
        return
    with Path(source).open("rb") as stream:
        seekable: IO[bytes] = stream if stream.seekable() else BytesIO(read_bounded(stream))
        with _opened(seekable, notes) as picture:
            yield picture


def read_bounded(stream: IO[bytes], limit: int = MAX_FILE_BYTES) -> bytes:
    """Read a stream to its end; raises LimitExceeded where it is longer than `limit` bytes."""
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise LimitExceeded(f"more than {limit:,} bytes of input; pass a smaller file")
    return data


def whole_file(picture: Image.Image) -> bytes:
    """Return the bytes of the file that a picture not yet loaded is read from; none where it is closed."""
    stream = getattr(picture, "fp", None)
    if stream is None:
        return b""
    before = stream.tell()
    try:
        stream.seek(0)
        return read_bounded(stream)
    finally:
        stream.seek(before)


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse a picture by its declared size, before anything of that size is allocated."""
    if width < 1 or height < 1:
        raise UnsupportedImage(f"has no pixels ({width}x{height}); pass a picture of at least 1x1")
    if limits.max_side is not None and max(width, height) > limits.max_side:
        raise LimitExceeded(
            f"is {width}x{height} and the limit of a side is {limits.max_side:,}; "
            "scale it down or cut it into parts",
            field="max_side",
        )
    if limits.max_pixels is not None and width * height > limits.max_pixels:
        raise _too_many_pixels(width * height, limits.max_pixels)


@contextmanager
def _opened(stream: IO[bytes], notes: list[str]) -> Iterator[Image.Image]:
    start = stream.read(N_START_BYTES)
    stream.seek(0)
    if not start:
        raise UnsupportedImage("is empty; pass a picture file")
    # Asked before Pillow, which opens these too once codec.pillow is imported.
    if start.startswith(SIGNATURE):
        raise UnsupportedImage("is a .vae file already; 'vaezip decompress' opens it")
    refuse_raw_start(start)
    if start.startswith(png_chunks.SIGNATURE):
        stream = png_chunks.mended(stream, notes)
    with pillow_errors():
        try:
            picture = tiff.reopen(Image.open(stream), stream)
        except UnidentifiedImageError as error:
            raise UnsupportedImage(what_pillow_lacks(start)) from error
    with picture:
        if picture.format == "EPS":
            # Reading one would run Ghostscript, a whole programming language, on the file.
            raise UnsupportedImage("is PostScript, which is never run here; convert it to PNG first")
        yield picture


def _too_many_pixels(n_pixels: int, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"declares {n_pixels:,} pixels and the limit is {limit:,}; scale it down, cut it into "
        "parts, or, if you trust it, raise the limit with --max-pixels",
        field="max_pixels",
    )


def _damaged(error: Exception) -> UnsupportedImage:
    detail = " ".join(str(error).split()) or type(error).__name__
    if "unknown raw mode" in detail:
        return UnsupportedImage("holds samples in a layout that Pillow cannot read; save it as PNG first")
    return UnsupportedImage(f"damaged or incomplete picture ({detail}); save it again from its source")
