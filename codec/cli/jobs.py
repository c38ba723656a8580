"""Plan the inputs and outputs of one run, read inputs, write outputs, and run a job for each."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Generic, TypeVar

from codec.cli.report import Exit, describe, exit_code, fail, is_expected
from codec.errors import CodecError, LimitExceeded, UsageError
from codec.io.files import descriptor_of, write_atomic, write_into
from codec.io.listing import NothingFound
from codec.io.mapping import Claims, expand, is_many, one_file, target_of
from codec.io.storage import MAX_INPUT_BYTES, keep_mtime, local_path, make_parents, read, stamp, write
from codec.io.storage import check as check_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")

STANDARD = "-"
_STDOUT = 1


@dataclass(frozen=True)
class Job:
    """One input and its output; `-` is standard input or output.

    mirrored: create missing folders of the output. through: the output is standard output or another open
    descriptor of this process. error: reason why the input must not be opened, or None.
    """

    source: str
    target: str
    mirrored: bool = False
    through: bool = False
    error: OSError | None = None

    @property
    def source_name(self) -> str:
        """Return the name of the input in messages."""
        return "standard input" if self.source == STANDARD else self.source

    @property
    def target_name(self) -> str:
        """Return the name of the output in messages."""
        return "standard output" if self.target == STANDARD else self.target


def plan(
    sources: Sequence[str],
    output: str | None,
    suffix: str,
    *,
    force: bool,
    accepts: Callable[[str], bool] | None = None,
) -> list[Job]:
    """Return the jobs of a run: every input with its output, folders and patterns expanded.

    output: the value of -o. suffix: of outputs without a name. force: allow binary data to a terminal.
    accepts: predicate that selects the files of a folder by name; None does not expand folders and patterns.
    Raises UsageError or OSError for names that cannot be combined, NothingFound without any file. Existing
    outputs are checked later, by `Writer.check`.
    """
    if "" in sources or output == "":
        raise UsageError("an empty file name; name a file, or '-' for standard input or output")
    if len(sources) > 1 and STANDARD in sources:
        raise UsageError("'-' cannot be combined with other inputs; give it alone")
    descriptor = None if output is None else descriptor_of(local_path(output) or "")
    if descriptor == _STDOUT:
        output = STANDARD
    through = output == STANDARD or descriptor is not None
    expanded = any(accepts is not None and is_many(source) for source in sources)
    several = len(sources) > 1 or expanded
    into_folder = output not in (None, STANDARD) and _is_folder(str(output), several, expanded)
    if output is not None and output.endswith(os.sep) and not into_folder:
        raise FileNotFoundError(errno.ENOENT, "is not a folder; create it first", output)
    if several and output is not None and not into_folder:
        raise UsageError(f"{output}: with several inputs, -o must name an existing folder")
    jobs: list[Job] = []
    for source in sources:
        if source == STANDARD and into_folder:
            raise UsageError(f"{output}: is a folder; name the output file of standard input")
        if output is not None and not into_folder:
            jobs.append(Job(source, output, through=through))
        elif source == STANDARD:
            jobs.append(Job(source, STANDARD, through=True))
        else:
            jobs.extend(_expand(source, output, suffix, accepts))
    if any(job.target == STANDARD for job in jobs):
        _check_standard_output(force=force)
    return drop_empty_sources(jobs)


def _is_folder(output: str, several: bool, expanded: bool) -> bool:
    """Return whether outputs go into the folder `output`, which exists or will be created for a tree.

    several: there are several inputs. expanded: one of them is a folder or pattern.
    """
    path = local_path(output)
    if path is None:
        return output.endswith("/") or several
    return os.path.isdir(path) or (expanded and not os.path.lexists(path))


def _expand(
    source: str, output: str | None, suffix: str, accepts: Callable[[str], bool] | None
) -> Iterator[Job]:
    """Yield the jobs of one source."""
    if accepts is None or not is_many(source):
        found = one_file(source)
        if not found.relative:
            raise IsADirectoryError(errno.EISDIR, "is a folder", source)
        yield Job(source, target_of(found, output, suffix))
        return
    for found in expand(source, accepts):
        target = "" if found.error is not None else target_of(found, output, suffix)
        yield Job(found.name, target, mirrored=output is not None, error=found.error)


def drop_empty_sources(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs without those of folders and patterns that have no files; print a line for each.

    Raises NothingFound if no job is left.
    """
    kept = [job for job in jobs if not isinstance(job.error, NothingFound)]
    errors = [job.error for job in jobs if isinstance(job.error, NothingFound)]
    for error in errors if kept else errors[:-1]:
        fail(describe(error) if not kept else f"warning: {describe(error)}")
    if errors and not kept:
        raise errors[-1]
    return kept


def _check_standard_output(*, force: bool) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "is closed; name a file with -o", "standard output")
    if sys.stdout.isatty() and not force:
        raise UsageError("will not write binary data to a terminal; redirect it, use -o, or force with -f")


class Writer:
    """Write the outputs of jobs, and refuse to overwrite an input or another output of the run."""

    def __init__(self, force: bool, jobs: Sequence[Job] = ()) -> None:
        self._force = force
        self._claims = Claims(job.source for job in jobs if job.source != STANDARD)

    def check(self, job: Job) -> None:
        """Check before any work that the output of a job can be written; create its folders if mirrored.

        Raises UsageError for an output that is also an input, OSError for one that exists (without `force`),
        is reserved by another job or cannot be written.
        """
        if job.target == STANDARD:
            return
        self._claims.claim(job.source_name, job.target)
        if job.mirrored:
            make_parents(job.target)
        check_target(job.target, overwrite=self._force)

    def write(self, job: Job, data: bytes | Callable[[IO[bytes]], object]) -> None:
        """Write an output completely or not at all, with the modification time of its source.

        data: bytes, or a function that writes them into the file it is given.
        """
        if job.target == STANDARD:
            write_into(sys.stdout.buffer, data)
            sys.stdout.buffer.flush()
            return
        before = None if job.source == STANDARD else stamp(job.source)
        write(job.target, data, overwrite=self._force)
        if before is not None:
            keep_mtime(job.target, before.mtime_ns)


def read_input(source: str) -> bytes:
    """Return all bytes of an input. Raises LimitExceeded if it is longer than MAX_INPUT_BYTES, OSError."""
    if source == STANDARD:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "is closed; name a file", "standard input")
        if sys.stdin.isatty():
            raise UsageError("is a terminal; name a file or pipe one in")
        data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    else:
        return read(source)
    if len(data) > MAX_INPUT_BYTES:
        raise LimitExceeded(f"is larger than {MAX_INPUT_BYTES:,} bytes; pass a smaller file")
    return data


def run(jobs: Sequence[Job], work: Callable[[Job], None]) -> Exit:
    """Run `work` on every job and return the exit code. A failed job is reported, and the others go on."""
    worst = Exit.OK
    for job in jobs:
        try:
            if job.error is not None:
                raise job.error
            work(job)
        except BrokenPipeError:
            raise
        except Exception as error:
            if not is_expected(error):
                raise
            fail(describe(error, job.source_name))
            worst = exit_code(error) if len(jobs) == 1 else Exit.SOME_FAILED
    return worst


def plan_stream(sources: tuple[str, ...], output: str | None, suffix: str, *, force: bool) -> Job:
    """Return the single job of --stream. Raises UsageError for several inputs, and the errors of `plan`."""
    if len(sources) != 1:
        raise UsageError("--stream takes one input, such as '-' for standard input")
    return plan(sources, output, suffix, force=force)[0]


@contextmanager
def open_input(job: Job) -> Iterator[IO[bytes]]:
    """Open the input of a job for sequential reading."""
    if job.source == STANDARD:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("standard input is a terminal; name a file or pipe one in")
        yield sys.stdin.buffer
        return
    with Path(job.source).open("rb") as file:
        yield file


def write_stream(job: Job, write: Callable[[IO[bytes]], object], *, force: bool) -> None:
    """Call `write` with the output of a job: a file is written atomically, a pipe piece by piece."""
    if job.target == STANDARD:
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    Writer(force).check(job)
    write_atomic(Path(job.target), write, overwrite=force)


class DeferredError(Generic[T]):
    """Iterate up to an error and keep it, so that the items before it can be written first.

    error: the error that ended the iteration, or None.
    """

    def __init__(self) -> None:
        self.error: CodecError | OSError | None = None

    def items_before(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items until one raises; raise its error only if it is the first."""
        count = 0
        try:
            for count, item in enumerate(items, 1):  # noqa: B007
                yield item
        except (CodecError, OSError) as error:
            if not count:
                raise
            self.error = error
