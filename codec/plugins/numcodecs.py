"""A numcodecs codec for arrays of pictures, such as those of zarr (format 2)."""

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


# Key and values of a text chunk that records the memory layout of a chunk's samples, unless uint8 in C order.
# zarr 2 uses the memory of the array that decode() returns, whatever its shape is.
_NOTE, _FORTRAN, _BOOL = "numcodecs", "F", "bool"
_MAX_CHANNELS = 4


class Vaezip(Codec):
    """Codec whose chunks are pictures, each stored as one `.vae` file.

    Chunks are [H, W] or [H, W, 1] (gray), [H, W, 2] (gray, alpha), [H, W, 3] (RGB) or [H, W, 4] (RGBA), with
    any number of axes of length 1 before these, as in a chunk [1, H, W, 3] of an array of pictures. Samples
    are uint8 or bool, in C or Fortran order. Lossy by default: alpha is exact, colour where alpha is 0 is
    discarded, bool samples are rounded to False or True. With `lossless` every sample is exact.
    quality: 0..100, effort: 0..9, as for `codec.Encoder`. Each chunk is coded on one thread, since the
    calling library distributes chunks over threads.
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
            raise UnsupportedImage(
                f"a chunk of {array.dtype}; only uint8 and bool are supported", field="dtype"
            )
        layout, colour, alpha = to_channels(_picture(array), DEFAULT_LIMITS, [])
        if alpha is not None and not self.lossless:
            colour = colour.copy()
            fill_hidden(colour, alpha)
        # An array contiguous in neither order is restored in C order.
        is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        notes = [_FORTRAN] * is_fortran + [_BOOL] * (array.dtype == np.bool_)
        metadata = Metadata(text=((_NOTE, " ".join(notes)),) if notes else ())
        picture = Picture(layout, colour, alpha, metadata)
        options = EncodeOptions(self.quality, lossless=self.lossless, effort=self.effort)
        return _encoder(options).encode(picture)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the samples of a chunk, [H, W] or [H, W, 2 to 4], in `out` if given.

        Their dtype and memory order are those of the encoded chunk.
        """
        picture = _decoder().decode(ensure_bytes(buf))
        notes = str(picture.info.get(_NOTE, "")).split()
        samples = np.array(picture, order="F" if _FORTRAN in notes else "C")
        if _BOOL in notes:
            samples = samples >= 128
        return samples if out is None else ndarray_copy(samples, out)


def _picture(array: NDArray[Any]) -> NDArray[Any]:
    """Return a chunk without leading axes of length 1. Raises UnsupportedImage for another shape."""
    shape = array.shape
    while array.ndim > 3 or (array.ndim == 3 and array.shape[2] > _MAX_CHANNELS):
        if array.shape[0] != 1:
            break
        array = array[0]
    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= _MAX_CHANNELS)
    if not is_picture or 0 in array.shape:
        raise UnsupportedImage(
            f"a chunk of shape {list(shape)}; use chunks of one picture, [H, W] or [H, W, 1 to 4]",
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
