"""Decompress .vae files to picture files, in this process or in several."""

from __future__ import annotations

import functools
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from codec.bitstream.container import parse_container
from codec.bitstream.header import parse_header
from codec.cli import output_formats
from codec.cli.jobs import Job, Writer, read_input
from codec.cli.progress import files_bar, progress_bar
from codec.cli.report import Exit, describe, fail, say, warn
from codec.errors import CodecError, CorruptPayload
from codec.io.memory import share_one_heap, trim_heap
from codec.io.processes import WorkerDied, portable, run_pool
from codec.model.index import model_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image

    from codec.decode.decoder import Decoder
    from codec.limits import Limits

# Maximum number of lost tiles that a message names one by one.
_MAX_NAMED_TILES = 8


@dataclass(frozen=True)
class DecompressOptions:
    """Options of `vaezip decompress`. region: (x, y, width, height) in pixels. scale: 1, 8 or 16."""

    region: tuple[int, int, int, int] | None
    scale: int
    salvage: bool
    limits: Limits
    force: bool
    threads: int | None
    quiet: bool


class Decompressed(NamedTuple):
    """A picture that was written. width, height: pixels. losses: what its format cannot store."""

    width: int
    height: int
    losses: tuple[str, ...]


def decompress_file(options: DecompressOptions, job: Job, writer: Writer) -> Decompressed:
    """Decompress one file and write its picture. The output must have been checked with `writer.check`."""
    chosen = output_formats.choose(job.target)
    data = read_input(job.source)
    # Refuse damaged structure and unknown models before torch is loaded.
    header = (
        parse_header(data, options.limits)
        if options.salvage
        else parse_container(data, options.limits).header
    )
    width, height = (header.width, header.height) if options.region is None else options.region[2:]
    output_formats.check_size(job.target, chosen, -(-width // options.scale), -(-height // options.scale))
    model_entry(header.model_id)
    if options.salvage:
        picture = _salvage(options, job, writer, data, chosen)
    else:
        decoder = _decoder(options.threads, options.limits)
        with progress_bar(job.source_name, width * height, quiet=options.quiet) as progress:
            picture = decoder.decode(
                data, region=options.region, scale=options.scale, progress=trim_heap(progress)
            )
        writer.write(job, lambda file: output_formats.save(picture, chosen, file))
    return Decompressed(*picture.size, tuple(output_formats.losses(picture, chosen)))


def print_result(options: DecompressOptions, job: Job, done: Decompressed) -> None:
    """Print the warnings and the summary line of one file."""
    if options.quiet:
        return
    for loss in done.losses:
        warn(job.target_name, loss)
    summary = "intact, nothing to salvage" if options.salvage else f"{done.width}x{done.height}"
    say(f"{job.source_name} -> {job.target_name}: {summary}")


@functools.lru_cache(maxsize=1)
def _decoder(threads: int | None, limits: Limits) -> Decoder:
    from codec.decode.decoder import Decoder

    share_one_heap()
    return Decoder(threads=threads, limits=limits)


def _salvage(
    options: DecompressOptions, job: Job, writer: Writer, data: bytes, chosen: output_formats.Format
) -> Image.Image:
    """Write the intact tiles of a file and return the picture.

    Raises CorruptPayload, which lists what is lost, after writing unless the whole file is intact.
    """
    from codec.decode.salvage import salvage

    found = salvage(data, threads=options.threads, limits=options.limits)
    writer.write(job, lambda file: output_formats.save(found.picture, chosen, file))
    lost = [f"tile {t.index} at {t.x},{t.y} of {t.width}x{t.height} pixels" for t in found.lost]
    damage = lost[:_MAX_NAMED_TILES]
    if len(lost) > _MAX_NAMED_TILES:
        damage.append(f"{len(lost) - _MAX_NAMED_TILES} more tiles")
    damage += found.notes
    if damage:
        damage += output_formats.losses(found.picture, chosen)
        kept = f"{found.tiles - len(lost)} of {found.tiles} tiles are in {job.target_name}"
        raise CorruptPayload(f"{kept}; damaged or lost: {'; '.join(damage)}")
    return found.picture


class _Ended(NamedTuple):
    """A job and its picture, or the error that prevented it."""

    job: Job
    found: Decompressed | Exception


def decompress_files(options: DecompressOptions, jobs: Sequence[Job], workers: int) -> Exit:
    """Decompress files in `workers` processes of one thread each. A failed file does not stop the others."""
    writer = Writer(options.force, jobs)
    refused: list[_Ended] = []
    code = Exit.OK

    def todo() -> Iterator[Job]:
        for job in jobs:
            try:
                if job.error is not None:
                    raise job.error
                writer.check(job)
            except (CodecError, OSError) as error:
                refused.append(_Ended(job, error))
            else:
                yield job

    def settle(job: Job, found: Decompressed | Exception) -> None:
        nonlocal code
        if isinstance(found, Decompressed):
            print_result(options, job, found)
        else:
            code = Exit.SOME_FAILED
            fail(describe(found, job.source_name))

    work = functools.partial(_attempt, replace(options, threads=options.threads or 1, quiet=True))
    results = run_pool(work, todo(), workers, _set_aside)
    with files_bar(len(jobs), quiet=options.quiet) as step, closing(results):
        for ended in results:
            step()
            settle(*ended)
    for ended in refused:
        settle(*ended)
    return code


def _attempt(options: DecompressOptions, job: Job, _tries: int) -> _Ended:
    """Decompress one file in a worker; return an error instead of raising it."""
    try:
        return _Ended(job, decompress_file(options, job, Writer(options.force)))
    except Exception as error:
        return _Ended(job, portable(error))


def _set_aside(job: Job, how: str, tries: int) -> _Ended:
    return _Ended(job, WorkerDied(f"{job.source}: its worker process died ({how}) at {tries} tries"))
