"""Open picture files with Pillow; every fault of a file is raised as a CodecError."""

from __future__ import annotations

import re
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from codec.bitstream.header import SIGNATURE
from codec.errors import CodecError, LimitExceeded, UnsupportedImage
from codec.image import png, tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codec.limits import Limits

MAX_FILE_BYTES = 1 << 30

# Bytes from which a file is recognised.
N_START_BYTES = 16

_IS_RAW = (
    "is a camera's raw file{}, of which Pillow reads at most a thumbnail; "
    "develop it into PNG, JPEG or TIFF first"
)
_RAW_STARTS = (
    b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"IIRO", b"IIRS", b"MMOR", b"IIU\0",
)  # fmt: skip
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_CR2_MARK, _CRW_MARK, _CR3_BRAND = b"CR\2\0", b"HEAPCCDR", b"crx "
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _PHOTOMETRIC = 254, 255, 262
_SUB_DIRECTORIES, _DNG_VERSION = 330, 50706
_REDUCED, _OLD_REDUCED = 1, 2
_MOSAIC, _LINEAR_RAW = 32803, 34892


@contextmanager
def pillow_errors() -> Iterator[None]:
    """Convert any exception that Pillow raises over a damaged or hostile picture to a CodecError.

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
    """Open a picture file, given as its path or its bytes, without decoding pixels.

    Damage that leaves the picture readable is added to `notes`. Raises UnsupportedImage for a file that is
    not a readable picture.
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
    """Read a stream to its end. Raises LimitExceeded for more than `limit` bytes."""
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise LimitExceeded(f"more than {limit:,} bytes of input; pass a smaller file")
    return data


def whole_file(picture: Image.Image) -> bytes:
    """Return the bytes of the file of a picture not yet loaded, or b'' if the file is closed."""
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
    """Check a declared size, in pixels, before allocation.

    Raises LimitExceeded above `limits`, UnsupportedImage for a side below 1.
    """
    if width < 1 or height < 1:
        raise UnsupportedImage(f"has no pixels ({width}x{height}); pass a picture of at least 1x1")
    if limits.max_side is not None and max(width, height) > limits.max_side:
        raise LimitExceeded(
            f"is {width}x{height} and the limit for a side is {limits.max_side:,}; "
            "scale it down or cut it into parts",
            field="max_side",
        )
    if limits.max_pixels is not None and width * height > limits.max_pixels:
        raise _too_many_pixels(width * height, limits.max_pixels)


def refuse_raw_start(start: bytes) -> None:
    """Raise UnsupportedImage if the first N_START_BYTES bytes are those of a camera's raw file."""
    if (
        start.startswith(_RAW_STARTS)
        or (start[:4] in (b"II*\0", b"MM\0*") and start[8:12] == _CR2_MARK)
        or start[6:14] == _CRW_MARK
        or start[4:12] == b"ftyp" + _CR3_BRAND
    ):
        raise UnsupportedImage(_IS_RAW.format(""))


def refuse_thumbnail(picture: Image.Image) -> None:
    """Raise UnsupportedImage for a TIFF file whose first picture is a reduced copy of another in it.

    picture: opened, not yet loaded. Other formats pass.
    """
    if picture.format != "TIFF":
        return
    tags = getattr(picture, "tag_v2", {})
    if _DNG_VERSION in tags:
        raise UnsupportedImage(_IS_RAW.format(" (DNG)"))
    if any(kind in (_MOSAIC, _LINEAR_RAW) for kind in _inner_photometrics(picture)):
        raise UnsupportedImage(_IS_RAW.format(""))
    subfile = tags.get(_SUBFILE_TYPE, 0)
    if (isinstance(subfile, int) and subfile & _REDUCED) or tags.get(_OLD_SUBFILE_TYPE) == _OLD_REDUCED:
        raise UnsupportedImage(
            "holds a thumbnail as its first picture, as raw files of cameras do; "
            "develop or save the whole picture as PNG, JPEG or TIFF first"
        )


def why_unidentified(start: bytes) -> str:
    """Return why Pillow cannot identify a file, and what to do, from its first N_START_BYTES bytes."""
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS:
        return (
            "is HEIC, which Pillow reads only with pillow-heif (pip install pillow-heif, and call "
            "pillow_heif.register_heif_opener() in Python); convert it to PNG or JPEG first"
        )
    if start[4:12] == b"ftypavif":
        return (
            "is AVIF, which this Pillow cannot read; install pillow 11.3 or later, or convert it to PNG first"
        )
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "is a TIFF file of a layout or compression that Pillow cannot read; convert it to PNG first"
    return "is not a picture that Pillow can read; convert it to PNG, JPEG, WebP or TIFF first"


def _inner_photometrics(picture: Image.Image) -> list[int]:
    """Return the photometric interpretations of a TIFF file's inner directories, up to a damaged one."""
    tags, fp = getattr(picture, "tag_v2", {}), getattr(picture, "fp", None)
    offsets = tags.get(_SUB_DIRECTORIES, ())
    if fp is None or not offsets:
        return []
    found, before = [], fp.tell()
    try:
        for offset in offsets if isinstance(offsets, tuple) else (offsets,):
            fp.seek(0)
            directory = TiffImagePlugin.ImageFileDirectory_v2(fp.read(8))
            fp.seek(offset)
            directory.load(fp)
            found.append(directory.get(_PHOTOMETRIC, 0))
    except Exception:  # Pillow may raise anything; the main picture may be sound
        return found
    finally:
        fp.seek(before)
    return found


@contextmanager
def _opened(stream: IO[bytes], notes: list[str]) -> Iterator[Image.Image]:
    start = stream.read(N_START_BYTES)
    stream.seek(0)
    if not start:
        raise UnsupportedImage("is empty; pass a picture file")
    # Checked before Pillow, which opens .vae files once codec.pillow is imported.
    if start.startswith(SIGNATURE):
        raise UnsupportedImage("is a .vae file already; 'vaezip decompress' opens it")
    refuse_raw_start(start)
    if start.startswith(png.SIGNATURE):
        stream = png.drop_damaged_chunks(stream, notes)
    with pillow_errors():
        try:
            picture = tiff.reopen(Image.open(stream), stream)
        except UnidentifiedImageError as error:
            raise UnsupportedImage(why_unidentified(start)) from error
    with picture:
        if picture.format == "EPS":
            # Pillow would run the file, which is a program, in Ghostscript.
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
