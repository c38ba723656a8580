"""The package's errors as Pillow's formats raise theirs: each is the same CodecError, and an OSError too.

Loaders that skip what is damaged go by OSError, and by UnidentifiedImageError where a file is opened.

    import codec.pillow
    from PIL import Image
    Image.open("photo.vae")

Pillow looks for no plugins by itself (it has no entry point for them), so the import is needed once a
process. Opening reads header and metadata only; torch is loaded when pixels are asked for. Pillow's own
limit on the number of pixels holds. The errors of this package that files raise here are OSErrors too, as
those of Pillow's own formats are: an UnidentifiedImageError where a file is opened.
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

_ERROR_KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CodecError)
]


def _doubled(prefix: str, base: type[OSError]) -> dict[type, type[CodecError]]:
    """Return, for each error, a class that is a `base` as well."""
    made: dict[type, type[CodecError]] = {}
    for kind in _ERROR_KINDS:
        named = {"__module__": __name__, "__doc__": kind.__doc__}
        made[kind] = type(prefix + kind.__name__, (kind, base), named)
    # Errors pass between processes by the names of their classes.
    globals().update({cls.__name__: cls for cls in made.values()})
    return made


_OPENING = _doubled("Unidentified", UnidentifiedImageError)
_OTHERWISE = _doubled("File", OSError)


@contextmanager
def os_errors(name: str = "", *, opening: bool = False) -> Iterator[None]:
    """Let a CodecError about a file out as an OSError too, and as an UnidentifiedImageError in `opening`.

    Its message begins with the file's name, if it has one. Wrong arguments are no fault of a file: a
    UsageError stays as it is.
    """
    try:
        yield
    except UsageError:
        raise
    except CodecError as error:
        made = _OPENING if opening else _OTHERWISE
        kind = next(made[kind] for kind in type(error).__mro__ if kind in made)
        message = f"{name}: {error}" if name else str(error)
        raise kind(message, field=error.field, offset=error.offset) from error


FORMAT = "VAEZIP"
MIME = "image/x-vaezip"
# Pillow takes these from the picture itself where a caller passes none, as it does for JPEG, PNG and AVIF.
_INHERITED = ("icc_profile", "transparency")
# Metadata is written only if passed, so there is nothing to strip.
_ENCODING = tuple(name for name in EncodeKeywords.__annotations__ if name != "strip")
_PASSED = ("exif", "xmp", "dpi")
_OPTIONS = ("quality", "threads", *_ENCODING, *_PASSED, *_INHERITED)
_KINDS = {"exif": (bytes, Image.Exif), "icc_profile": (bytes,), "xmp": (bytes, str)}
# Of 0..1: options of Pillow's other formats are less alike, misspelt ones more.
_MISSPELT = 0.8
_SCALES = (16, 8)
# Right behind the header Pillow itself looks at the size, and refuses it in its own words.
_ANY_SIZE = dataclasses.replace(DEFAULT_LIMITS, max_pixels=None, max_side=None)


class VaezipImageFile(ImageFile.ImageFile):
    """A `.vae` file that Pillow has opened; its pixels are decoded when they are first asked for."""

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
        self._waiting = True

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Prepare for a fast preview, 8 or 16 times smaller but no smaller than `size`; see Image.draft.

        Returns the mode and the box of the original in it, or None where nothing smaller is on offer.
        """
        if size is None or not self._waiting or self._scale != 1:
            return None
        width, height = self.size
        fits = (s for s in _SCALES if s * size[0] <= width and s * size[1] <= height)
        self._scale = next(fits, 1)
        if self._scale == 1:
            return None
        self._size = (-(-width // self._scale), -(-height // self._scale))
        return self.mode, (0, 0, width / self._scale, height / self._scale)

    def load(self) -> Any:
        """Decode the pixels, once. Raises CodecError for damaged data and what reading the file raises."""
        if self._waiting:
            with os_errors(self._name):
                picture = _decoder(_limits()).decode(self._data(), scale=self._scale)
            self.im = picture.im
            self._waiting = False
            if self._exclusive_fp and self._close_exclusive_fp_after_loading:
                self._file.close()
                self.fp = None
        return super().load()

    def verify(self) -> None:
        """Check the whole file as `vaezip verify` does, without making pixels, and close it.

        Open it again to load it. Raises as load().
        """
        from codec.decode.symbols import verify

        try:
            with os_errors(self._name):
                verify(self._data(), limits=_limits())
        finally:
            super().verify()

    def _data(self) -> bytes:
        """Return the bytes of the whole `.vae` file, and nothing of what follows it."""
        self._file.seek(self._start)
        return read_file(self._file, _limits())

    @property
    def _name(self) -> str:
        """What the file is called, or nothing."""
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
    xmp (bytes), dpi, threads. The colour profile is the picture's own unless one is passed (None leaves it
    out), other metadata is written only if passed. A picture that its EXIF data turns is stored turned.
    Other options do nothing here, with a warning. Raises UsageError for a misspelt one, and for a wrong
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
        meant = difflib.get_close_matches(name.lower(), _OPTIONS, 1, _MISSPELT)
        if meant:
            raise UsageError(f"unknown option {name!r}; did you mean {meant[0]!r}?", field=name)
        warnings.warn(f"{FORMAT} has no option {name!r}: it is ignored", UserWarning, stacklevel=4)


def _check_metadata(options: dict[str, Any]) -> None:
    """Refuse what would be left out as damaged metadata of a file is. Raises UsageError."""
    for name, kinds in _KINDS.items():
        value = options.get(name)
        if value is not None and not isinstance(value, kinds):
            raise UsageError(f"{name} must be {kinds[0].__name__}, not {type(value).__name__}", field=name)
    dpi = options.get("dpi")
    try:
        x, y = (1, 1) if dpi is None else map(float, dpi)
    except (TypeError, ValueError):
        x, y = 0, 0
    if not (0 < x < math.inf and 0 < y < math.inf):
        raise UsageError(f"dpi must be two numbers above 0, not {dpi!r}", field="dpi")


def accepts(start: bytes) -> bool:
    """Tell a `.vae` file by its first bytes."""
    return start.startswith(SIGNATURE)


def _limits() -> Limits:
    """Return limits that leave the number of pixels to Pillow, which refuses twice its MAX_IMAGE_PIXELS."""
    most = Image.MAX_IMAGE_PIXELS
    return dataclasses.replace(_ANY_SIZE, max_pixels=None if most is None else 2 * most)


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
