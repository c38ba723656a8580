"""`vaezip compress --stream`: PPM or PNG pictures, one after another, to a .vaes stream."""

from __future__ import annotations

import itertools
import warnings
from typing import IO

from codec.batch.task import RunOptions
from codec.cli.jobs import Job, run
from codec.cli.report import Exit, say, warn
from codec.cli.stream_options import UpToError, fill, opened, plan_stream
from codec.limits import DEFAULT_LIMITS
from codec.stream import Writer


def compress_stream(
    sources: tuple[str, ...], output: str | None, options: RunOptions, *, quiet: bool
) -> Exit:
    """Compress the frames of one pipe or file, each written as soon as it is done."""

    def work(job: Job) -> None:
        from codec.image.frames import split_frames

        count = n_bytes = 0
        done = UpToError[bytes]()

        def write(out: IO[bytes]) -> None:
            nonlocal count, n_bytes
            with opened(job) as file:
                pictures = split_frames(file, DEFAULT_LIMITS)
                first = list(itertools.islice(pictures, 1))  # a faulty one is refused before torch is loaded
                from codec.encoder import Encoder

                encoder = Encoder.of(options.encoding, threads=options.threads)
                stream = Writer(out)
                for data in done.of(encoder.map(itertools.chain(first, pictures))):
                    stream.write(data)
                    count += 1
                    n_bytes += len(data)
                if done.error is None:
                    stream.close()  # without its end, readers know that it was cut short

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("once", UserWarning)
            fill(job, write, force=options.overwrite)
        if not quiet:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                warn(job.source_name, text)
            say(f"{job.source_name} -> {job.target_name}: {count} frames, {n_bytes} bytes")
        if done.error is not None:
            raise done.error

    return run([plan_stream(sources, output, ".vaes", force=options.overwrite)], work)
