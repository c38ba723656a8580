"""A numcodecs codec, for arrays of pictures in zarr (format 2) and others."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from codec.bitstream.metadata_chunks import Metadata
from codec.encode.options import DEFAULT_EFFORT, EncodeOptions
from codec.errors import UnsupportedImage, UsageError
from codec.image.load import to_channels
from codec.image.picture import Picture
from codec.image.transparency import fill_hidden
from codec.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codec.decode.decoder import Decoder
    from codec.encode.encoder import Encoder

try:
    from numcodecs.abc import Codec
    from numcodecs.compat import ensure_bytes, ndarray_copy
    from numcodecs.registry import register_codec
except ModuleNotFoundError as error:
    raise UsageError(f"needs {error.name}; install it with: pip install 'vaezip[numcodecs]'") from error


# Text in a chunk's file that says how the samples lay in memory, where not as uint8 in C order. zarr 2 takes
# what decode() returns for the memory of the chunk, not for its rows and columns.
_NOTE, _FORTRAN, _BOOL = "numcodecs", "F", "bool"
_MAX_CHANNELS = 4


class Vaezip(Codec):
    """Compresses chunks [H, W], [H, W, 1] (gray), [H, W, 2] (gray, alpha), [H, W, 3] (RGB), [H, W, 4] (RGBA).

    Each becomes one `.vae` file. Axes of length 1 may go before, as in a chunk [1, H, W, 3] of an array of
    pictures. Samples are uint8 or bool, in any order in memory. Lossy: what is read back is a picture close
    to what was written, with alpha exact, colour where alpha is 0 lost, and bool the nearer of its two
    values. With `lossless` every sample is exact. quality: 0..100, effort: 0..9, as for `codec.Encoder`.
    Every chunk is coded on one thread: the library that asks for chunks spreads them.
    Raises UnsupportedImage for a chunk of another shape or type, CodecError for damaged data.
    """

    codec_id = "vaezip"

    def __init__(self, quality: float = 75, lossless: bool = False, effort: int = DEFAULT_EFFORT) -> None:
        self.quality = quality
        self.effort = effort
        self.lossless = lossless

    def encode(self, buf: Any) -> bytes:
        """Return the `.vae` file of a chunk."""
        array = np.asarray(buf)
        if array.dtype not in (np.uint8, np.bool_):
            raise UnsupportedImage(f"a chunk of {array.dtype}; only uint8 and bool are taken", field="dtype")
        layout, colour, alpha = to_channels(_picture(array), DEFAULT_LIMITS, [])
        if alpha is not None and not self.lossless:
            colour = colour.copy()
            fill_hidden(colour, alpha)
        # Where memory holds the samples in no order at all, rows and columns are all that counts.
        is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        notes = [_FORTRAN] * is_fortran + [_BOOL] * (array.dtype == np.bool_)
        metadata = Metadata(text=((_NOTE, " ".join(notes)),) if notes else ())
        picture = Picture(layout, colour, alpha, metadata)
        options = EncodeOptions(self.quality, lossless=self.lossless, effort=self.effort)
        return _encoder(options).encode(picture)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the samples of a chunk, [H, W] or [H, W, 2, 3 or 4], in `out` if given.

        Their type and their order in memory are those of the chunk.
        """
        picture = _decoder().decode(ensure_bytes(buf))
        notes = str(picture.info.get(_NOTE, "")).split()
        samples = np.array(picture, order="F" if _FORTRAN in notes else "C")
        if _BOOL in notes:
            samples = samples >= 128
        return samples if out is None else ndarray_copy(samples, out)


def _picture(array: NDArray[Any]) -> NDArray[Any]:
    """Return a chunk without the axes of length 1 before its rows."""
    shape = array.shape
    while array.ndim > 3 or (array.ndim == 3 and array.shape[2] > _MAX_CHANNELS):
        if array.shape[0] != 1:
            break
        array = array[0]
    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= _MAX_CHANNELS)
    if not is_picture or 0 in array.shape:
        raise UnsupportedImage(
            f"a chunk of shape {list(shape)}; make chunks [H, W], [H, W, 1 to 4], or one such picture each",
            field="shape",
        )
    return array


@functools.lru_cache(maxsize=16)
def _encoder(options: EncodeOptions) -> Encoder:
    from codec.encode.encoder import Encoder

    return Encoder.of(options, threads=1)


@functools.cache
def _decoder() -> Decoder:
    from codec.decode.decoder import Decoder

    return Decoder(threads=1)


register_codec(Vaezip)
