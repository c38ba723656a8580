"""`vaezip batch`: compress many pictures on all cores or a cluster, and report each."""

from __future__ import annotations

import functools
import json
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from codec.batch.cluster import connect
from codec.batch.scheduler import process
from codec.batch.task import Result, RunOptions, Status, Task
from codec.cli.jobs import STANDARD, plan
from codec.cli.parameters import batch_options, encoding_options, quiet_option
from codec.cli.progress import files_bar, progress_bar
from codec.cli.report import EXIT_CODES_HELP, Exit, describe, exit_code, fail, is_expected, say, warn
from codec.errors import UsageError
from codec.io.mapping import is_picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from codec.cli.jobs import Job
    from codec.encode.options import EncodeOptions


_NO_PIPES = (
    "vaezip batch reads and writes files, no standard input or output and no pipes; use vaezip compress"
)


class BatchRun:
    """Compress files and report each. as_json: print one JSON object per file. quiet: else only errors."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._count: Counter[Status] = Counter()
        self._n_input_bytes = 0
        self._n_bytes = 0

    def run(self, jobs: Sequence[Job], options: RunOptions, *, workers: int | None, **how: Any) -> Exit:
        """Compress the files of `jobs` and return the exit code.

        workers: number of processes, None for one per core. how: further keywords of
        `codec.batch.scheduler.process`.
        """
        tasks = [Task(job.source, job.target, job.mirrored, error=job.error) for job in jobs]
        code = Exit.OK
        # Progress of several files is counted in files, of one file in tiles.
        bar = functools.partial(progress_bar, quiet=self._quiet) if len(tasks) == 1 else None
        with (
            files_bar(len(tasks), quiet=self._quiet) as step,
            closing(process(tasks, options, jobs=workers, bar=bar, **how)) as results,
        ):
            for result in results:
                step()
                self._report(result)
                if result.error is not None:
                    if len(tasks) == 1 and not is_expected(result.error):
                        raise result.error
                    code = exit_code(result.error) if len(tasks) == 1 else Exit.SOME_FAILED
        if len(tasks) > 1 and not self._quiet:
            say(self._total())
        return code

    def _report(self, result: Result) -> None:
        self._count[result.status] += 1
        self._n_input_bytes += result.input_bytes
        self._n_bytes += result.output_bytes
        if self._as_json:
            print(json.dumps(result.record()), flush=True)
        if result.error is not None:
            fail(describe(result.error, result.source))
            return
        if self._quiet:
            return
        warn_all(result.source, result.warnings)
        if result.status is Status.SKIPPED:
            say(f"{result.source} -> {result.target}: exists already, skipped")
        else:
            size = (result.width, result.height)
            say(summary(result.source, result.target, size, result.input_bytes, result.output_bytes))

    def _total(self) -> str:
        parts = [f"{number} {status}" for status in Status if (number := self._count[status])]
        sizes = f", {self._n_input_bytes} -> {self._n_bytes} bytes" if self._n_bytes else ""
        return f"{sum(self._count.values())} files: {', '.join(parts)}{sizes}"


def warn_all(name: str, warnings: Iterable[str]) -> None:
    """Print the warnings about a picture."""
    for text in warnings:
        warn(name, text)


def summary(source: str, target: str, size: tuple[int, int], n_input_bytes: int, n_bytes: int) -> str:
    """Return the line about a picture. size: width and height in pixels. n_input_bytes: 0 if unknown."""
    width, height = size
    ratio = f"{n_input_bytes / n_bytes:.1f}:1" if n_input_bytes else "from a pipe"
    return (
        f"{source} -> {target}: {width}x{height}, {n_input_bytes} -> {n_bytes} bytes "
        f"({ratio}), {8 * n_bytes / (width * height):.3f} bpp"
    )


@click.command("batch", epilog=EXIT_CODES_HELP)
@click.argument("pictures", metavar="IN...", nargs=-1, required=True, type=click.Path(readable=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(readable=False),
    metavar="DIR",
    help="Folder or URL of outputs.  [default: next to IN]",
)
@encoding_options
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), metavar="JOBS", help="Worker processes.  [default: cores]"
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Work on the Dask cluster with this scheduler, such as tcp://scheduler:8786.",
)
@batch_options
@click.option("-f", "--force", is_flag=True, help="Overwrite files.")
@quiet_option
def batch(
    pictures: tuple[str, ...],
    output: str | None,
    encoding: EncodeOptions,
    jobs: int | None,
    cluster: str | None,
    skip_existing: bool,
    manifest: str | None,
    retry: bool,
    remove_sources: bool,
    as_json: bool,
    force: bool,
    quiet: bool,
) -> int:
    """Compress many pictures into .vae files.

    IN is a picture, a folder or a pattern, as a path or as a URL that fsspec supports, such as
    s3://bucket/photos/. The trees of folders and patterns are mirrored below DIR. A picture whose worker
    process dies twice is set aside. With --cluster, all machines must see the files under the same names.
    """
    if STANDARD in pictures:
        raise UsageError(_NO_PIPES)
    if cluster is not None and jobs is not None:
        raise UsageError("--jobs and --cluster exclude each other; a cluster sets its own number of workers")
    options = RunOptions(encoding, overwrite=force, skip_existing=skip_existing)
    planned = plan(pictures, output, ".vae", force=force, accepts=is_picture)
    if any(job.through for job in planned):
        raise UsageError(_NO_PIPES)
    batch_run = BatchRun(as_json=as_json, quiet=quiet)
    client = None if cluster is None else connect(cluster)
    try:
        return batch_run.run(
            planned,
            options,
            workers=jobs,
            client=client,
            manifest=manifest,
            retry=retry,
            remove_sources=remove_sources,
        )
    finally:
        if client is not None:
            client.close()
