"""Pillow plugin: open and save `.vae` files with PIL.Image.

    import codec.pillow
    from PIL import Image
    Image.open("photo.vae")

Pillow does not discover plugins by entry points, so each process must import this module once. Opening reads
header and metadata only; torch is loaded when pixels are decoded. Pillow's own limit on the number of pixels,
Image.MAX_IMAGE_PIXELS, applies.

Errors about a file are raised as subclasses of both their CodecError and OSError, as Pillow's own formats do
(UnidentifiedImageError while opening): loaders that skip damaged files catch these.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import os
import warnings
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from codec import errors
from codec.bitstream.header import SIGNATURE
from codec.bitstream.metadata_chunks import parse_metadata
from codec.bitstream.sequential_reader import Source, read_file, read_head
from codec.encode.options import EncodeKeywords, EncodeOptions
from codec.errors import CodecError, UsageError
from codec.image.metadata import attach
from codec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codec.decode.decoder import Decoder
    from codec.encode.encoder import Encoder

FORMAT = "VAEZIP"
MIME = "image/x-vaezip"
# Taken from the picture if the caller passes none, as Pillow does for JPEG, PNG and AVIF.
_INHERITED = ("icc_profile", "transparency")
# Without `strip`: metadata is written only if passed.
_ENCODING = tuple(name for name in EncodeKeywords.__annotations__ if name != "strip")
_PASSED = ("exif", "xmp", "dpi")
_OPTIONS = ("quality", "threads", *_ENCODING, *_PASSED, *_INHERITED)
_METADATA_TYPES = {"exif": (bytes, Image.Exif), "icc_profile": (bytes,), "xmp": (bytes, str)}
# Similarity from 0 to 1 above which an unknown option counts as misspelt; the options of Pillow's other
# formats stay below.
_MISSPELT = 0.8
_SCALES = (16, 8)
# Pillow checks the number of pixels itself as soon as the header is read.
_ANY_SIZE = dataclasses.replace(DEFAULT_LIMITS, max_pixels=None, max_side=None)
_ERROR_CLASSES = [
    cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, CodecError)
]


def _with_base(prefix: str, base: type[OSError]) -> dict[type, type[CodecError]]:
    """Return a subclass of each CodecError class and of `base`, by CodecError class."""
    derived: dict[type, type[CodecError]] = {}
    for cls in _ERROR_CLASSES:
        attributes = {"__module__": __name__, "__doc__": cls.__doc__}
        derived[cls] = type(prefix + cls.__name__, (cls, base), attributes)
    # Pickle finds a class by its name in the module.
    globals().update({cls.__name__: cls for cls in derived.values()})
    return derived


_WHILE_OPENING = _with_base("Unidentified", UnidentifiedImageError)
_LATER = _with_base("File", OSError)


@contextmanager
def os_errors(name: str = "", *, opening: bool = False) -> Iterator[None]:
    """Re-raise a CodecError of the block as an OSError too, or with `opening` as an UnidentifiedImageError.

    name: file name, put before the message if not empty. A UsageError is about an argument, not about a file,
    and passes unchanged.
    """
    try:
        yield
    except UsageError:
        raise
    except CodecError as error:
        derived = _WHILE_OPENING if opening else _LATER
        cls = next(derived[cls] for cls in type(error).__mro__ if cls in derived)
        message = f"{name}: {error}" if name else str(error)
        raise cls(message, field=error.field, offset=error.offset) from error


class VaezipImageFile(ImageFile.ImageFile):
    """A `.vae` file opened by Pillow; pixels are decoded on first use."""

    format = FORMAT
    format_description = "vaezip learned image"

    def _open(self) -> None:
        self._start = self._file.tell()
        self._scale = 1
        with os_errors(self._name, opening=True):
            header, found = read_head(Source(self._file), _ANY_SIZE)
            metadata = parse_metadata(found, DEFAULT_LIMITS)
        self._mode = header.mode
        self._size = (header.width, header.height)
        attach(metadata, self)
        self._undecoded = True

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Select a preview at 1/8 or 1/16 of the resolution, not smaller than `size`; see Image.draft.

        size: width and height in pixels. Returns the mode and the box (left, top, right, bottom) of the
        original in pixels of the preview, or None if no preview is large enough.
        """
        if size is None or not self._undecoded or self._scale != 1:
            return None
        width, height = self.size
        fits = (s for s in _SCALES if s * size[0] <= width and s * size[1] <= height)
        self._scale = next(fits, 1)
        if self._scale == 1:
            return None
        self._size = (-(-width // self._scale), -(-height // self._scale))
        return self.mode, (0, 0, width / self._scale, height / self._scale)

    def load(self) -> Any:
        """Decode the pixels on the first call. Raises CodecError for damaged data, OSError from reading."""
        if self._undecoded:
            with os_errors(self._name):
                picture = _decoder(_limits()).decode(self._data(), scale=self._scale)
            self.im = picture.im
            self._undecoded = False
            if self._exclusive_fp and self._close_exclusive_fp_after_loading:
                self._file.close()
                self.fp = None
        return super().load()

    def verify(self) -> None:
        """Check the whole file as `vaezip verify` does, without computing pixels, and close it.

        Open the file again to load it. Raises the errors of load().
        """
        from codec.decode.symbols import verify

        try:
            with os_errors(self._name):
                verify(self._data(), limits=_limits())
        finally:
            super().verify()

    def _data(self) -> bytes:
        """Return the bytes of the `.vae` file without any data behind it."""
        self._file.seek(self._start)
        return read_file(self._file, _limits())

    @property
    def _name(self) -> str:
        """Return the file name, or an empty string."""
        return os.fsdecode(self.filename)

    @property
    def _file(self) -> IO[bytes]:
        if self.fp is None:
            raise ValueError("the file is closed; open the picture again")
        return self.fp


def save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """Write a picture as `.vae`, for Image.save.

    Options: quality (0..100, default 75), lossless, effort (0..9), tune, roi, seconds, target_size,
    target_bpp, target_psnr, target_ssim (as for `codec.Encoder`), exif (bytes or Image.Exif), icc_profile,
    xmp (bytes), dpi, threads. The colour profile is the picture's own unless one is passed (None omits it);
    other metadata is written only if passed. A picture with an EXIF orientation is stored upright.
    An unknown option is ignored with a warning. Raises UsageError for a misspelt option and for a wrong
    value.
    """
    options = image.encoderinfo
    _check_names(options)
    _check_metadata(options)
    exif = options.get("exif")
    if isinstance(exif, Image.Exif):
        options = {**options, "exif": exif.tobytes()}
    plain = image.copy()
    plain.info = {key: image.info[key] for key in _INHERITED if key in image.info}
    plain.info |= {key: options[key] for key in (*_PASSED, *_INHERITED) if key in options}
    plain.info = {key: value for key, value in plain.info.items() if value is not None}
    encoding = {name: options[name] for name in ("quality", *_ENCODING) if name in options}
    encoder = _encoder(EncodeOptions.of(**encoding), options.get("threads"))
    with os_errors():
        encoder.encode_to(plain, fp)


def _check_names(options: dict[str, Any]) -> None:
    for name in options:
        if name in _OPTIONS:
            continue
        similar = difflib.get_close_matches(name.lower(), _OPTIONS, 1, _MISSPELT)
        if similar:
            raise UsageError(f"unknown option {name!r}; did you mean {similar[0]!r}?", field=name)
        warnings.warn(f"{FORMAT} has no option {name!r}: it is ignored", UserWarning, stacklevel=4)


def _check_metadata(options: dict[str, Any]) -> None:
    """Raise UsageError for metadata of a wrong type or value, which the encoder would omit as damaged."""
    for name, types in _METADATA_TYPES.items():
        value = options.get(name)
        if value is not None and not isinstance(value, types):
            raise UsageError(f"{name} must be {types[0].__name__}, not {type(value).__name__}", field=name)
    dpi = options.get("dpi")
    try:
        x, y = (1, 1) if dpi is None else map(float, dpi)
    except (TypeError, ValueError):
        x, y = 0, 0
    if not (0 < x < math.inf and 0 < y < math.inf):
        raise UsageError(f"dpi must be two numbers above 0, not {dpi!r}", field="dpi")


def accepts(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a `.vae` file."""
    return start.startswith(SIGNATURE)


def _limits() -> Limits:
    """Return limits with Pillow's cap on pixels: it refuses more than twice its MAX_IMAGE_PIXELS."""
    cap = Image.MAX_IMAGE_PIXELS
    return dataclasses.replace(_ANY_SIZE, max_pixels=None if cap is None else 2 * cap)


@functools.lru_cache(maxsize=4)
def _decoder(limits: Limits) -> Decoder:
    from codec.decode.decoder import Decoder

    return Decoder(limits=limits)


@functools.lru_cache(maxsize=16)
def _encoder(options: EncodeOptions, threads: int | None) -> Encoder:
    from codec.encode.encoder import Encoder

    return Encoder.of(options, threads=threads)


Image.register_open(FORMAT, VaezipImageFile, accepts)
Image.register_save(FORMAT, save)
Image.register_extension(FORMAT, ".vae")
Image.register_mime(FORMAT, MIME)
