"""Decompress .vae files to picture files, in this process or several."""

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
from codec.io.memory import trim_heap, share_one_heap
from codec.io.processes import WorkerDied, portable, run_pool
from codec.model.index import model_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image

    from codec.decode.decoder import Decoder
    from codec.limits import Limits

# Lost tiles that a message names one by one.
_TOLD = 8


@dataclass(frozen=True)
class Unpacking:
    """How .vae files become pictures; as the options of `vaezip decompress`."""

    region: tuple[int, int, int, int] | None
    scale: int
    salvage: bool
    limits: Limits
    force: bool
    threads: int | None
    quiet: bool


class Unpacked(NamedTuple):
    """A picture that was written: its width and height in pixels, and what its format does not hold."""

    width: int
    height: int
    losses: tuple[str, ...]


def unpack(how: Unpacking, job: Job, writer: Writer) -> Unpacked:
    """Decompress one file, whose output has been checked."""
    chosen = output_formats.choose(job.target)
    data = read_input(job.source)
    # Faulty structure and unknown models are refused here, before torch is loaded.
    header = parse_header(data, how.limits) if how.salvage else parse_container(data, how.limits).header
    width, height = (header.width, header.height) if how.region is None else how.region[2:]
    output_formats.check_size(job.target, chosen, -(-width // how.scale), -(-height // how.scale))
    model_entry(header.model_id)
    if how.salvage:
        picture = _salvage(how, job, writer, data, chosen)
    else:
        decoder = _decoder(how.threads, how.limits)
        with progress_bar(job.source_name, width * height, quiet=how.quiet) as progress:
            picture = decoder.decode(data, region=how.region, scale=how.scale, progress=trim_heap(progress))
        writer.write(job, lambda file: output_formats.save(picture, chosen, file))
    return Unpacked(*picture.size, tuple(output_formats.losses(picture, chosen)))


def tell(how: Unpacking, job: Job, done: Unpacked) -> None:
    """Print what became of one file."""
    if how.quiet:
        return
    for loss in done.losses:
        warn(job.target_name, loss)
    found = "sound, nothing to salvage" if how.salvage else f"{done.width}x{done.height}"
    say(f"{job.source_name} -> {job.target_name}: {found}")


@functools.lru_cache(maxsize=1)
def _decoder(threads: int | None, limits: Limits) -> Decoder:
    from codec.decode.decoder import Decoder

    share_one_heap()
    return Decoder(threads=threads, limits=limits)


def _salvage(
    how: Unpacking, job: Job, writer: Writer, data: bytes, chosen: output_formats.Format
) -> Image.Image:
    """Write what is intact of a file. Raises CorruptPayload, saying what is lost, unless all of it is."""
    from codec.decode.salvage import salvage

    found = salvage(data, threads=how.threads, limits=how.limits)
    writer.write(job, lambda file: output_formats.save(found.picture, chosen, file))
    lost = [f"tile {t.index} at {t.x},{t.y} of {t.width}x{t.height} pixels" for t in found.lost]
    told = [*lost[:_TOLD], *([f"{len(lost) - _TOLD} more tiles"] if len(lost) > _TOLD else []), *found.notes]
    if told:
        told += output_formats.losses(found.picture, chosen)
        kept = f"{found.tiles - len(lost)} of {found.tiles} tiles are in {job.target_name}"
        raise CorruptPayload(f"{kept}; damaged or lost: {'; '.join(told)}")
    return found.picture


class Ended(NamedTuple):
    """A file, and the picture it became, or why it did not."""

    job: Job
    found: Unpacked | Exception


def unpack_many(how: Unpacking, jobs: Sequence[Job], workers: int) -> Exit:
    """Decompress files in so many processes of one thread each; failed ones do not stop the others."""
    writer = Writer(how.force, jobs)
    refused: list[Ended] = []
    code = Exit.OK

    def todo() -> Iterator[Job]:
        for job in jobs:
            try:
                if job.error is not None:
                    raise job.error
                writer.check(job)
            except (CodecError, OSError) as error:
                refused.append(Ended(job, error))
            else:
                yield job

    def settle(job: Job, found: Unpacked | Exception) -> None:
        nonlocal code
        if isinstance(found, Unpacked):
            tell(how, job, found)
        else:
            code = Exit.SOME_FAILED
            fail(describe(found, job.source_name))

    work = functools.partial(_attempt, replace(how, threads=how.threads or 1, quiet=True))
    results = run_pool(work, todo(), workers, _set_aside)
    with files_bar(len(jobs), quiet=how.quiet) as step, closing(results):
        for ended in results:
            step()
            settle(*ended)
    for ended in refused:
        settle(*ended)
    return code


def _attempt(how: Unpacking, job: Job, _tries: int) -> Ended:
    """Decompress one file in a worker."""
    try:
        return Ended(job, unpack(how, job, Writer(how.force)))
    except Exception as error:
        return Ended(job, portable(error))


def _set_aside(job: Job, how: str, tries: int) -> Ended:
    return Ended(job, WorkerDied(f"{job.source}: ended its worker ({how}) at {tries} tries"))
