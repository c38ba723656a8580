"""`Encoder`: compress pictures to `.vae` bytes."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator
from typing import IO, Any, Literal, Self, Unpack, overload

from codec.encode.options import LEVELS, EncodeKeywords, EncodeOptions
from codec.encode.picture_coder import PictureCoder
from codec.encode.target_search import encode_to_target
from codec.errors import Failure
from codec.image.load import PictureLike, load_picture
from codec.inference.backends import CPU, need_torch
from codec.inference.threads import OnError, Progress, map_ahead, on_worker, worker_count
from codec.inference.weights import load_model
from codec.io.files import write_all
from codec.model.index import default_model_id, model_entry, to_rate_index


class Encoder:
    """Compress pictures with one loaded model and fixed options.

    Threads and forked processes may share an encoder. It pickles as its options, so that sending it to
    another process sends no weights. It holds nothing that must be closed; as a context manager it does
    nothing. `options` holds its checked options, and `Encoder.of` makes an encoder from those.

    quality: 0..100, higher is better and larger; on ordinary photos quality Q looks about as WebP's Q does.
    Even 100 is lossy.
    lossless: keep every sample exactly; quality is ignored.
    strip: leave out all metadata.
    effort: 0 (fastest, the default) to 9 (smallest files at equal PSNR); from 2 on by gradient descent,
    which needs torch.
    seconds: time limit per picture for gradient descent, default 60; the best symbols so far are used then.
    tune: 'psnr' minimises squared error; 'visual' minimises a perceptual error: structure of luma coarser
    than about eight pixels, weighted less where the picture is busy.
    roi: regions of interest: a rectangle 'X,Y,W,H' in pixels or the file name of a mask picture, followed by
    ':+30' to raise the quality there by 30; or a tuple of several. Whole tiles of 128x128 pixels are raised.
    target_size: bytes of the whole file, or a text such as '50kB'; target_bpp: bits per pixel of the whole
    file; target_psnr: dB over all samples; target_ssim: mean SSIM of luma. At most one of them; it replaces
    the quality, which then only starts the search. A file is at most as large as its target and at most 1 %
    or 16 bytes smaller; PSNR and SSIM are at least the target and at most 0.05 dB above. The search keeps
    the latents of the whole picture, 5 bytes per pixel or more.
    threads: number of workers over tiles, default one for each core. The bytes never depend on it.
    device: where the networks run, "cpu" or torch's name of a GPU, such as "cuda".

    Raises UsageError for a value outside its range, WeightsError, BackendMismatch or BackendMissing if the
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
        """Return an encoder with these options. Raises as `Encoder` does."""
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

        An array has the shape [H, W] (gray) or [H, W, C] with C = 1, 2, 3 or 4 (gray, gray and alpha, RGB,
        RGBA), any strides, and the type uint8, bool (False is black), or uint16, of which the high byte is
        kept. Gray, transparency and metadata are kept; a ConversionWarning lists what is lost. A tile is
        stored losslessly if that takes no more bytes, or costs less in bits than it saves in lmbda * error.
        progress: called with the number of tiles done and the number of all tiles; from effort 2 on with
        both in hundredths, and from any thread.
        Raises UnsupportedImage, UsageError, or LimitExceeded, also if a target cannot be met.
        """
        options, target = self.options, self.options.target
        picture = load_picture(image, strip=options.strip)
        coder = PictureCoder(
            self._model, self._entry, picture, options, threads=self.threads, keep=target is not None
        )
        if target is not None:
            return encode_to_target(coder, picture, target, self.rate_index, self._entry)
        return coder.file(coder.code(self.rate_index, progress))

    def encode_to(self, image: PictureLike, fp: IO[bytes], *, progress: Progress | None = None) -> int:
        """Compress one picture into an open file, pipe or socket; return the number of bytes written.

        Nothing is written until encoding has finished. Raises what `encode` and `fp.write` raise.
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
        """Compress many pictures lazily and in order, in parallel, each on one thread.

        At most 2 * threads pictures are read ahead, and none with threads=1. on_error: 'raise' stops at
        the first picture that fails, 'yield' returns a `Failure` in its place and continues. The bytes equal
        those of `encode`.
        """
        single_threaded = copy.copy(self)
        single_threaded.threads = 1
        return map_ahead(single_threaded.encode, images, self.threads, on_error)
