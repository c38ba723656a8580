"""Compress one file: read, encode, write, and verify if asked. Runs in any process or machine."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
import warnings
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from codec.batch.task import Result, RunOptions, Status, Task, failure
from codec.errors import CodecError, CorruptPayload
from codec.io.memory import share_one_heap, trim_heap
from codec.io.processes import MAX_TRIES, portable
from codec.io.storage import check, exists, keep_mtime, local_path, make_parents, read, stamp, write
from codec.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codec.decode.decoder import Decoder
    from codec.encode.encoder import Encoder
    from codec.encode.options import EncodeOptions
    from codec.image.picture import Picture
    from codec.limits import Limits

    Bar: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int, int], None] | None]]

RETRY_AFTER_S = 0.5
# Errors that another try cannot avoid.
_PERMANENT = (
    CodecError, FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError,
)  # fmt: skip
# warnings.catch_warnings and Pillow's limit affect the whole process, and workers of a cluster run threads.
_global_state = threading.Lock()


class Packed(NamedTuple):
    """A compressed picture: the bytes of its file, width and height in pixels, and warnings."""

    data: bytes
    width: int
    height: int
    warnings: tuple[str, ...]


def attempt(options: RunOptions, task: Task, tries: int = 1, bar: Bar | None = None) -> Result:
    """Compress one file and return its result; an error becomes a failed result.

    tries: number of this try, from 1. An error that may be transient, such as a network failure or a lack of
    memory, is tried once more. Only exceptions that should end the worker, such as SystemExit, are raised.
    bar: as in `compress_file`.
    """
    while True:
        allowed = dataclasses.replace(
            options, overwrite=options.overwrite or task.replace, adopt=options.adopt or tries > 1
        )
        try:
            result = compress_file(allowed, task, bar)
            return dataclasses.replace(result, tries=tries)
        except Exception as error:
            if tries >= MAX_TRIES or isinstance(error, _PERMANENT):
                return failure(task, portable(error), tries)
            tries += 1
            time.sleep(RETRY_AFTER_S)


def compress_file(options: RunOptions, task: Task, bar: Bar | None = None) -> Result:
    """Compress one file and return its result.

    bar: called with (name, number of pixels), returns a context manager that yields a progress function.
    Raises the errors of `Encoder.encode`, and OSError for files that cannot be read or written.
    """
    if options.skip_existing and exists(task.target):
        return Result(task.source, task.target, Status.SKIPPED)
    before = stamp(task.source)
    if task.mirrored:
        make_parents(task.target)
    if not (options.adopt and exists(task.target)):
        check(task.target, overwrite=options.overwrite)
    path = local_path(task.source)
    source: str | bytes = read(task.source) if path is None else path
    packed = pack(options, source, task.source, bar)
    _deliver(options, task, packed.data)
    if before is not None:
        keep_mtime(task.target, before.mtime_ns)
    if options.verify:
        _read_back(task.target, packed)
    return Result(
        task.source,
        task.target,
        Status.DONE,
        packed.width,
        packed.height,
        before.n_bytes if before is not None else len(source),
        len(packed.data),
        packed.warnings,
        stamp=before,
        verified=options.verify,
    )


def pack(options: RunOptions, source: str | bytes, name: str, bar: Bar | None = None) -> Packed:
    """Compress a picture.

    source: its path, or the bytes of its file. name: shown with the progress bar. The picture is read, and
    refused if faulty, before torch is loaded.
    """
    picture, notes = _load(source, options)
    with bar(name, picture.width * picture.height) if bar else nullcontext() as progress:
        data = _encoder(options.encoding, options.threads).encode(picture, progress=trim_heap(progress))
    return Packed(data, picture.width, picture.height, notes)


def _load(source: str | bytes, options: RunOptions) -> tuple[Picture, tuple[str, ...]]:
    from codec.image.load import load_picture

    with _global_state, _pillow_limit(options.limits), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        # Pillow warns of pictures above half of its limit; this codec accepts them.
        warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
        picture = load_picture(source, limits=options.limits, strip=options.encoding.strip)
    return picture, tuple(dict.fromkeys(str(warning.message) for warning in caught))


@contextmanager
def _pillow_limit(limits: Limits) -> Iterator[None]:
    """Set Pillow's limit on pixels to that of `limits` in the block. Not thread-safe: the limit is global."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    if limits.max_pixels != DEFAULT_LIMITS.max_pixels:
        Image.MAX_IMAGE_PIXELS = limits.max_pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _deliver(options: RunOptions, task: Task, data: bytes) -> None:
    """Write an output; with `adopt`, accept an existing one with the same bytes."""
    try:
        write(task.target, data, overwrite=options.overwrite)
    except FileExistsError:
        if not options.adopt or read(task.target) != data:
            raise


def _read_back(target: str, packed: Packed) -> None:
    """Compare the written file with the encoder's bytes and decode it, which checks every CRC."""
    if read(target) != packed.data:
        raise CorruptPayload(f"{target}: is not the same when read back; check the storage")
    picture = _decoder().decode(packed.data)
    if picture.size != (packed.width, packed.height):
        raise CorruptPayload(f"{target}: decodes to another size; please report this")


@functools.lru_cache(maxsize=4)
def _encoder(options: EncodeOptions, threads: int | None) -> Encoder:
    from codec.encode.encoder import Encoder

    share_one_heap()
    return Encoder.of(options, threads=threads)


@functools.cache
def _decoder() -> Decoder:
    from codec.decode.decoder import Decoder

    return Decoder(threads=1)
