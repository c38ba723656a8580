"""Many .vae files to picture files, in several processes."""

from __future__ import annotations

import functools
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from codec.cli.jobs import Job, Writer
from codec.cli.progress import files_bar
from codec.cli.report import Exit, describe, fail
from codec.cli.unpack import Unpacked, Unpacking, tell, unpack
from codec.errors import CodecError
from codec.processes import WorkerDied, portable, run_pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
