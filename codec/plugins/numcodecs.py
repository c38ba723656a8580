"""A numcodecs codec, for arrays of pictures in zarr (format 2) and others."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from codec.effort.levels import DEFAULT_EFFORT
from codec.errors import UnsupportedImage, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codec.decoder import Decoder
    from codec.encoder import Encoder

try:
    from numcodecs.abc import Codec
    from numcodecs.compat import ensure_bytes, ndarray_copy
    from numcodecs.registry import register_codec
except ModuleNotFoundError as error:
    raise UsageError(f"needs {error.name}; install it with: pip install 'vaezip[numcodecs]'") from error


class Vaezip(Codec):
    """Compresses chunks uint8 [H, W, 3] (RGB) or [H, W] (gray), each as one `.vae` file.

    Axes of length 1 may go before, as in a chunk [1, H, W, 3] of an array of pictures. Lossy, unless
    `lossless`: what is read back is a picture close to what was written. quality: 0..100,
    effort: 0..9, as for `codec.Encoder`. Every chunk is coded on one thread: the library that asks for chunks
    spreads them.
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
        if array.dtype != np.uint8:
            raise UnsupportedImage(f"a chunk of {array.dtype}; only uint8 is taken", field="dtype")
        return _encoder(self.quality, self.lossless, self.effort).encode(Image.fromarray(_picture(array)))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Return the samples of a chunk, uint8 [H, W, 3] or [H, W], in `out` if given."""
        samples = _decoder().decode_array(ensure_bytes(buf))
        return samples if out is None else ndarray_copy(samples, out)


def _picture(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a chunk without the axes of length 1 before its rows."""
    shape = array.shape
    while array.ndim > 3 or (array.ndim == 3 and array.shape[2] != 3):
        if array.shape[0] != 1:
            break
        array = array[0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or 0 in array.shape:
        raise UnsupportedImage(
            f"a chunk of shape {list(shape)}; make chunks [H, W, 3], [H, W], or one such picture each",
            field="shape",
        )
    return np.ascontiguousarray(array)


@functools.lru_cache(maxsize=16)
def _encoder(quality: float, lossless: bool, effort: int) -> Encoder:
    from codec.encoder import Encoder

    return Encoder(quality, lossless=lossless, effort=effort, threads=1)


@functools.cache
def _decoder() -> Decoder:
    from codec.decoder import Decoder

    return Decoder(threads=1)


register_codec(Vaezip)
