"""The files of one run, and the input and output of a stream."""

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

STANDARD = "-"
_STDOUT = 1


@dataclass(frozen=True)
class Job:
    """One input and the output it becomes; `-` is standard input or output.

    mirrored: the output's folders are made where they are missing. through: the output is standard output or
    another open descriptor of this process. error: why the input is not to be opened at all.
    """

    source: str
    target: str
    mirrored: bool = False
    through: bool = False
    error: OSError | None = None

    @property
    def source_name(self) -> str:
        """The input as messages call it."""
        return "standard input" if self.source == STANDARD else self.source

    @property
    def target_name(self) -> str:
        """The output as messages call it."""
        return "standard output" if self.target == STANDARD else self.target


def plan(
    sources: Sequence[str],
    output: str | None,
    suffix: str,
    *,
    force: bool,
    accepts: Callable[[str], bool] | None = None,
) -> list[Job]:
    """Give every input its output, and refuse what no file system needs to be asked about.

    accepts: tells by its name whether a file of a folder is an input; None opens no folders or patterns.
    """
    if "" in sources or output == "":
        raise UsageError("an empty file name; name a file, or '-' for standard input or output")
    if len(sources) > 1 and STANDARD in sources:
        raise UsageError("'-' stands for one input; give it alone")
    descriptor = None if output is None else descriptor_of(local_path(output) or "")
    if descriptor == _STDOUT:
        output = STANDARD
    through = output == STANDARD or descriptor is not None
    opened = [source for source in sources if accepts is not None and is_many(source)]
    several = len(sources) > 1 or bool(opened)
    into_folder = output not in (None, STANDARD) and _is_folder(str(output), several, bool(opened))
    if output is not None and output.endswith(os.sep) and not into_folder:
        raise FileNotFoundError(errno.ENOENT, "is no folder; create it first", output)
    if several and output is not None and not into_folder:
        raise UsageError(f"{output}: with several inputs, -o must name an existing folder")
    jobs: list[Job] = []
    for source in sources:
        if source == STANDARD and into_folder:
            raise UsageError(f"{output}: is a folder; name the file that standard input becomes")
        if output is not None and not into_folder:
            jobs.append(Job(source, output, through=through))
        elif source == STANDARD:
            jobs.append(Job(source, STANDARD, through=True))
        else:
            jobs.extend(_expanded(source, output, suffix, accepts))
    if any(job.target == STANDARD for job in jobs):
        _check_standard_output(force=force)
    return without_nothing(jobs)


def _is_folder(output: str, several: bool, opened: bool) -> bool:
    """Tell whether outputs go into `output`: it is a folder, or one to be made for a tree."""
    path = local_path(output)
    if path is None:
        return output.endswith("/") or several
    return os.path.isdir(path) or (opened and not os.path.lexists(path))


def _expanded(
    source: str, output: str | None, suffix: str, accepts: Callable[[str], bool] | None
) -> Iterator[Job]:
    if accepts is None or not is_many(source):
        found = one_file(source)
        if not found.relative:
            raise IsADirectoryError(errno.EISDIR, "is a folder", source)
        yield Job(source, target_of(found, output, suffix))
        return
    for found in expand(source, accepts):
        target = "" if found.error is not None else target_of(found, output, suffix)
        yield Job(found.name, target, mirrored=output is not None, error=found.error)


def without_nothing(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs without those of folders and patterns that stand for nothing, each told in one line.

    Raises NothingFound where no other job is left.
    """
    left = [job for job in jobs if not isinstance(job.error, NothingFound)]
    nothing = [job.error for job in jobs if isinstance(job.error, NothingFound)]
    for error in nothing if left else nothing[:-1]:
        fail(describe(error) if not left else f"warning: {describe(error)}")
    if nothing and not left:
        raise nothing[-1]
    return left


def _check_standard_output(*, force: bool) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "is closed; name a file with -o", "standard output")
    if sys.stdout.isatty() and not force:
        raise UsageError("will not write binary data to a terminal; redirect it, use -o, or force with -f")


class Writer:
    """Writes the outputs of jobs, none of them over an input or another output."""

    def __init__(self, force: bool, jobs: Sequence[Job] = ()) -> None:
        self._force = force
        self._claims = Claims(job.source for job in jobs if job.source != STANDARD)

    def check(self, job: Job) -> None:
        """Refuse an output that could not or should not be written, before work is spent on it."""
        if job.target == STANDARD:
            return
        self._claims.claim(job.source_name, job.target)
        if job.mirrored:
            make_parents(job.target)
        check_target(job.target, overwrite=self._force)

    def write(self, job: Job, data: bytes | Callable[[IO[bytes]], object]) -> None:
        """Write an output whole, or leave nothing. data: the bytes, or what writes them into a file."""
        if job.target == STANDARD:
            write_into(sys.stdout.buffer, data)
            sys.stdout.buffer.flush()
            return
        before = None if job.source == STANDARD else stamp(job.source)
        write(job.target, data, overwrite=self._force)
        if before is not None:
            keep_mtime(job.target, before.mtime_ns)


def read_input(source: str) -> bytes:
    """Read an input whole; raises LimitExceeded where it is longer than MAX_INPUT_BYTES."""
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
    """Do every job; a failed one is told in one line and does not stop the others."""
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


T = TypeVar("T")


def plan_stream(sources: tuple[str, ...], output: str | None, suffix: str, *, force: bool) -> Job:
    """Return the one job of a stream, refused where it makes no sense."""
    if len(sources) != 1:
        raise UsageError("--stream takes one input, such as '-' for standard input")
    return plan(sources, output, suffix, force=force)[0]


@contextmanager
def opened(job: Job) -> Iterator[IO[bytes]]:
    """Open the input of a job."""
    if job.source == STANDARD:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("standard input is a terminal; name a file or pipe one in")
        yield sys.stdin.buffer
        return
    with Path(job.source).open("rb") as file:
        yield file


def fill(job: Job, write: Callable[[IO[bytes]], object], *, force: bool) -> None:
    """Let `write` write the output of a job: a file whole or not at all, a pipe as it goes."""
    if job.target == STANDARD:
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    Writer(force).check(job)
    write_atomic(Path(job.target), write, overwrite=force)


class UpToError(Generic[T]):
    """Takes what comes before an error, so that it is delivered. error: what ended it, or None."""

    def __init__(self) -> None:
        self.error: CodecError | OSError | None = None

    def of(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and end where they fail; raises what they raise in place of the first one."""
        count = 0
        try:
            for count, item in enumerate(items, 1):  # noqa: B007
                yield item
        except (CodecError, OSError) as error:
            if not count:
                raise
            self.error = error
