"""Many .vae files to picture files, in several processes."""

from __future__ import annotations

import functools
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from codec.batch.pool import run_pool
from codec.batch.task import Result, Status, Task, failure
from codec.batch.work import portable
from codec.cli.jobs import Job, Writer
from codec.cli.progress import files_bar
from codec.cli.report import Exit, describe, fail
from codec.cli.unpack import Unpacked, Unpacking, tell, unpack
from codec.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def unpack_many(how: Unpacking, jobs: Sequence[Job], workers: int) -> Exit:
    """Decompress files in so many processes of one thread each; failed ones do not stop the others."""
    writer = Writer(how.force, jobs)
    refused: list[Result] = []
    code = Exit.OK

    def todo() -> Iterator[Task]:
        for job in jobs:
            task = Task(job.source, job.target)
            try:
                writer.check(job)
            except (CodecError, OSError) as error:
                refused.append(failure(task, error))
            else:
                yield task

    def settle(result: Result) -> None:
        nonlocal code
        if result.error is None:
            done = Unpacked(result.width, result.height, result.warnings)
            tell(how, Job(result.source, result.target), done)
        else:
            code = Exit.SOME_FAILED
            fail(describe(result.error, result.source))

    work = functools.partial(_attempt, replace(how, threads=how.threads or 1, quiet=True))
    with files_bar(len(jobs), quiet=how.quiet) as step, closing(run_pool(work, todo(), workers)) as results:
        for result in results:
            step()
            settle(result)
    for result in refused:
        settle(result)
    return code


def _attempt(how: Unpacking, task: Task, tries: int) -> Result:
    """Decompress one file in a worker."""
    try:
        done = unpack(how, Job(task.source, task.target), Writer(how.force))
    except Exception as error:
        return failure(task, portable(error), tries)
    return Result(task.source, task.target, Status.DONE, done.width, done.height, warnings=done.losses)
