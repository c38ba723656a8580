"""`vaezip compress`: pictures to .vae files, or to a .vaes stream."""

from __future__ import annotations

import itertools
import os
import warnings
from typing import IO, TYPE_CHECKING

import click

from codec.batch.task import RunOptions
from codec.batch.work import pack
from codec.cli.batch import BatchRun, summary, warn_all
from codec.cli.jobs import (
    STANDARD,
    DeferredError,
    Job,
    Writer,
    open_input,
    plan,
    plan_stream,
    read_input,
    run,
    write_stream,
)
from codec.cli.parameters import batch_options, encoding_options, file_options, jobs_option, limit_option
from codec.cli.progress import progress_bar
from codec.cli.report import EXIT_CODES_HELP, Exit, say, warn
from codec.errors import UsageError
from codec.io.mapping import is_picture, is_stream
from codec.io.storage import local_path
from codec.limits import DEFAULT_LIMITS
from codec.stream import Writer as StreamWriter

if TYPE_CHECKING:
    from codec.encode.options import EncodeOptions
    from codec.limits import Limits


def compress_stream(
    sources: tuple[str, ...], output: str | None, options: RunOptions, *, quiet: bool
) -> Exit:
    """Compress the frames of one pipe or file to a .vaes stream, writing each frame when it is done."""

    def work(job: Job) -> None:
        from codec.image.frames import split_frames

        count = n_bytes = 0
        done = DeferredError[bytes]()

        def write(out: IO[bytes]) -> None:
            nonlocal count, n_bytes
            with open_input(job) as file:
                pictures = split_frames(file, DEFAULT_LIMITS)
                first = list(itertools.islice(pictures, 1))  # refuse a faulty one before torch is loaded
                from codec.encode.encoder import Encoder

                encoder = Encoder.of(options.encoding, threads=options.threads)
                stream = StreamWriter(out)
                for data in done.items_before(encoder.map(itertools.chain(first, pictures))):
                    stream.write(data)
                    count += 1
                    n_bytes += len(data)
                if done.error is None:
                    stream.close()  # a stream without an end chunk reads as truncated

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("once", UserWarning)
            write_stream(job, write, force=options.overwrite)
        if not quiet:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                warn(job.source_name, text)
            say(f"{job.source_name} -> {job.target_name}: {count} frames, {n_bytes} bytes")
        if done.error is not None:
            raise done.error

    return run([plan_stream(sources, output, ".vaes", force=options.overwrite)], work)


@click.command("compress", epilog=EXIT_CODES_HELP)
@click.argument("pictures", metavar="IN...", nargs=-1, required=True, type=click.Path(readable=False))
@encoding_options
@jobs_option("Pictures")
@click.option(
    "--stream",
    is_flag=True,
    help="IN is a sequence of PPM or PNG pictures; OUT is a .vaes stream.",
)
@limit_option("pictures")
@batch_options
@file_options(".vae")
def compress(
    pictures: tuple[str, ...],
    encoding: EncodeOptions,
    stream: bool,
    jobs: int,
    limits: Limits,
    skip_existing: bool,
    manifest: str | None,
    retry: bool,
    remove_sources: bool,
    as_json: bool,
    output: str | None,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Compress pictures into .vae files.

    IN is a picture that Pillow reads, a folder, a pattern such as 'photos/**/*.jpg', or '-' for standard
    input. The trees of folders and patterns are mirrored below OUT. Gray, transparency and metadata are kept;
    a warning names what is not, such as 16-bit samples or further frames.
    """
    options = RunOptions(
        encoding,
        overwrite=force,
        skip_existing=skip_existing,
        threads=threads or (1 if jobs > 1 else None),
        limits=limits,
    )
    if stream:
        if jobs > 1 or manifest or remove_sources or as_json or skip_existing:
            raise UsageError(
                "--stream cannot be combined with --jobs, --json, --manifest, --rm or --skip-existing"
            )
        return compress_stream(pictures, output, options, quiet=quiet)
    planned = plan(pictures, output, ".vae", force=force, accepts=is_picture)
    for job in planned:
        if not is_stream(job.target) and is_picture(job.target):
            raise UsageError(
                f"{job.target}: is a picture's name, but the output is a .vae file; use the suffix .vae"
            )
    if any(job.through or job.source == STANDARD for job in planned):
        if manifest or remove_sources or as_json or skip_existing:
            raise UsageError("--json, --manifest, --rm and --skip-existing work with files, not with pipes")
        return _pipe(planned, options, quiet=quiet)
    return BatchRun(as_json=as_json, quiet=quiet).run(
        planned,
        options,
        # One picture is compressed in this process: a worker could not open a descriptor such as <(...).
        workers=max(1, min(jobs, len(planned))),
        manifest=manifest,
        retry=retry,
        remove_sources=remove_sources,
    )


def _pipe(jobs: list[Job], options: RunOptions, *, quiet: bool) -> int:
    """Compress pictures from standard input, or to a pipe, device or open descriptor."""
    writer = Writer(options.overwrite, jobs)

    def work(job: Job) -> None:
        writer.check(job)
        path = None if job.source == STANDARD else local_path(job.source)
        source: str | bytes = read_input(job.source) if path is None else path
        n_input_bytes = len(source) if isinstance(source, bytes) else os.stat(source).st_size
        packed = pack(
            options, source, job.source_name, lambda name, size: progress_bar(name, size, quiet=quiet)
        )
        if not quiet:
            warn_all(job.source_name, packed.warnings)
        writer.write(job, packed.data)
        if not quiet:
            size = (packed.width, packed.height)
            say(summary(job.source_name, job.target_name, size, n_input_bytes, len(packed.data)))

    return run(jobs, work)
