"""Pixels to `.vae` bytes."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator
from typing import IO, Any, Literal, Self, Unpack, overload

from codec.encode.options import LEVELS, EncodeKeywords, EncodeOptions
from codec.encode.picture_coder import PictureCoder
from codec.encode.target_search import hit
from codec.errors import Failure
from codec.image.load import PictureLike, load_picture
from codec.inference.backends import CPU, need_torch
from codec.inference.threads import OnError, Progress, map_ahead, on_worker, worker_count
from codec.inference.weights import load_model
from codec.io.files import write_all
from codec.model.index import default_model_id, model_entry, to_rate_index


class Encoder:
    """Compress pictures with one loaded model, in one way. Threads may share it, and forked processes.

    `options` holds its checked options, and `Encoder.of` makes one from those.
    Pickles as its options, so that sending it to another process sends no weights. As a context manager it
    does nothing but mark where it is used: it holds nothing that must be closed.

    quality: 0..100, higher is better and larger; on ordinary photos quality Q looks about as WebP's Q does.
    Even 100 is not lossless. lossless: keep every sample exactly instead, whatever the quality. strip: leave
    out all metadata. threads: workers over tiles, default one for each core.
    effort: 0 (fastest, the default) to 9 (smallest files at equal PSNR); from 2 on, gradient descent that
    stops with the best so far after so many `seconds` a picture, default 60.
    tune: 'psnr' spends bits where they save most squared error, 'visual' where they save most of what is
    seen: structure of luma from about eight pixels on, and the less of it the busier the picture is there.
    roi: a rectangle 'X,Y,W,H' in pixels or the name of a mask
    picture, with ':+30' behind it for so much more quality there; or several in a tuple. It holds for tiles
    of 128 pixels.
    target_size: bytes of the whole file, or a text such as '50kB'; target_bpp: its bits per pixel;
    target_psnr: dB over all samples; target_ssim: mean SSIM of luma. One of them, instead of a quality,
    which is where the search for it begins. Sizes are never exceeded and missed by at most 1 % or 16 bytes;
    PSNR and SSIM are exceeded by at most 0.05 dB. The latents of the whole picture are kept meanwhile, 5
    bytes a pixel or more.
    device: where the networks run, "cpu" or what torch calls a GPU, such as "cuda". The bytes never depend on
    the number of threads. Efforts from 2 on need torch.
    Raises UsageError for a value outside its range, WeightsError, BackendMismatch or BackendMissing where the
    model cannot be used on this machine.
    """

    def __init__(
        self,
        quality: float = 75,
        *,
        threads: int | None = None,
        device: str = CPU,
        **options: Unpack[EncodeKeywords],
    ) -> None:
        self._set_up(EncodeOptions.of(quality, **options), threads, device)

    @classmethod
    def of(cls, options: EncodeOptions, *, threads: int | None = None, device: str = CPU) -> Self:
        """Return an encoder of these options. Raises as `Encoder` does."""
        encoder = cls.__new__(cls)
        encoder._set_up(options, threads, device)
        return encoder

    def _set_up(self, options: EncodeOptions, threads: int | None, device: str) -> None:
        self.options = options
        self._machine: dict[str, Any] = {"threads": threads, "device": device}
        self._entry = model_entry(default_model_id())
        self.rate_index = to_rate_index(options.quality, self._entry)
        self.threads = worker_count(threads)
        if LEVELS[options.effort].iterations and not options.lossless:
            need_torch(f"effort {options.effort}")
        self._model = on_worker(functools.partial(load_model, self._entry.model_id, device))

    def __reduce__(self) -> tuple[object, ...]:
        return functools.partial(type(self).of, self.options, **self._machine), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def encode(self, image: PictureLike, *, progress: Progress | None = None) -> bytes:
        """Compress one picture: a PIL image, an array, a path, or the bytes of a file.

        An array has the shape [H, W] (gray) or [H, W, 1, 2, 3 or 4] (gray, gray and alpha, RGB, RGBA), any
        strides, and the type uint8, bool (False is black), or uint16, of which the high byte is kept.
        Gray, transparency and metadata are kept; a ConversionWarning tells what is not. A tile is stored
        without loss where that takes no more bytes, or so few more that they are well spent at this quality.
        progress: called with the number of tiles done and of all tiles; from effort 4 on in hundredths,
        and from any thread.
        Raises UnsupportedImage, UsageError, or LimitExceeded, also where a target cannot be met.
        """
        options, target = self.options, self.options.target
        picture = load_picture(image, strip=options.strip)
        coder = PictureCoder(
            self._model, self._entry, picture, options, threads=self.threads, keep=target is not None
        )
        if target is not None:
            return hit(coder, picture, target, self.rate_index, self._entry)
        return coder.file(coder.code(self.rate_index, progress))

    def encode_to(self, image: PictureLike, fp: IO[bytes], *, progress: Progress | None = None) -> int:
        """Compress one picture into an open file, pipe or socket, whole; return the number of bytes.

        Nothing is written before all is encoded. Raises as `encode`, and what `fp.write` raises.
        """
        data = self.encode(image, progress=progress)
        write_all(fp, data)
        return len(data)

    @overload
    def map(self, images: Iterable[PictureLike], *, on_error: Literal["raise"] = ...) -> Iterator[bytes]: ...

    @overload
    def map(
        self, images: Iterable[PictureLike], *, on_error: Literal["yield"]
    ) -> Iterator[bytes | Failure]: ...

    def map(
        self, images: Iterable[PictureLike], *, on_error: OnError = "raise"
    ) -> Iterator[bytes] | Iterator[bytes | Failure]:
        """Compress many pictures, lazily and in order: pictures in parallel, each on one thread.

        At most 2 * threads pictures are taken ahead, and none with threads=1. on_error: 'raise' ends with
        the first picture that fails, 'yield' gives a `Failure` in its place and goes on. The bytes are those
        that `encode` gives.
        """
        alone = copy.copy(self)
        alone.threads = 1
        return map_ahead(alone.encode, images, self.threads, on_error)
