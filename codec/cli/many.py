"""Many files from the command line: what is told of each, and of all."""

from __future__ import annotations

import functools
import json
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from codec.batch.many import process
from codec.batch.task import Result, Status, Task
from codec.cli.progress import files_bar, progress_bar
from codec.cli.report import Exit, describe, exit_code, fail, is_expected, say, warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from codec.batch.task import RunOptions
    from codec.cli.jobs import Job


class Many:
    """One run over files. as_json: print one JSON object for each. quiet: print nothing else but errors."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._count: Counter[Status] = Counter()
        self._n_input_bytes = 0
        self._n_bytes = 0

    def run(self, jobs: Sequence[Job], options: RunOptions, *, workers: int | None, **how: Any) -> Exit:
        """Compress the files of `jobs` and return the exit code.

        workers: processes, None for one for each core. how: what else `codec.batch.many.process` takes.
        """
        tasks = [Task(job.source, job.target, job.mirrored, error=job.error) for job in jobs]
        code = Exit.OK
        # Of many files their number is shown, of one its tiles.
        bar = functools.partial(progress_bar, quiet=self._quiet) if len(tasks) == 1 else None
        with (
            files_bar(len(tasks), quiet=self._quiet) as step,
            closing(process(tasks, options, jobs=workers, bar=bar, **how)) as results,
        ):
            for result in results:
                step()
                self._tell(result)
                if result.error is not None:
                    if len(tasks) == 1 and not is_expected(result.error):
                        raise result.error
                    code = exit_code(result.error) if len(tasks) == 1 else Exit.SOME_FAILED
        if len(tasks) > 1 and not self._quiet:
            say(self._total())
        return code

    def _tell(self, result: Result) -> None:
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
        explain(result.source, result.warnings)
        if result.status is Status.SKIPPED:
            say(f"{result.source} -> {result.target}: is there already, skipped")
        else:
            size = (result.width, result.height)
            say(summary(result.source, result.target, size, result.input_bytes, result.output_bytes))

    def _total(self) -> str:
        parts = [f"{number} {status}" for status in Status if (number := self._count[status])]
        sizes = f", {self._n_input_bytes} -> {self._n_bytes} bytes" if self._n_bytes else ""
        return f"{sum(self._count.values())} files: {', '.join(parts)}{sizes}"


def explain(name: str, warnings: Iterable[str]) -> None:
    """Print what of a picture is not kept."""
    for text in warnings:
        warn(name, text)


def summary(source: str, target: str, size: tuple[int, int], n_input_bytes: int, n_bytes: int) -> str:
    """Return the line about one picture. size: width and height in pixels; n_input_bytes: 0 if not known."""
    width, height = size
    ratio = f"{n_input_bytes / n_bytes:.1f}:1" if n_input_bytes else "from a pipe"
    return (
        f"{source} -> {target}: {width}x{height}, {n_input_bytes} -> {n_bytes} bytes "
        f"({ratio}), {8 * n_bytes / (width * height):.3f} bpp"
    )
