"""The files of one run: where each input goes, how it is read and written, and what a failure costs."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from codec.cli.report import Exit, describe, exit_code, fail, is_expected
from codec.errors import LimitExceeded, UsageError
from codec.files import check_writable, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STANDARD = "-"
MAX_INPUT_BYTES = 1 << 30


@dataclass(frozen=True)
class Job:
    """One input and the output it becomes; `-` is standard input or output."""

    source: str
    target: str

    @property
    def source_name(self) -> str:
        """The input as messages call it."""
        return "standard input" if self.source == STANDARD else self.source

    @property
    def target_name(self) -> str:
        """The output as messages call it."""
        return "standard output" if self.target == STANDARD else self.target


def plan(sources: Sequence[str], output: str | None, suffix: str, *, force: bool) -> list[Job]:
    """Give every input its output, and refuse what no file system needs to be asked about."""
    if "" in sources or output == "":
        raise UsageError("an empty file name; name a file, or '-' for standard input or output")
    if len(sources) > 1 and STANDARD in sources:
        raise UsageError("'-' stands for one input; give it alone")
    into_folder = output not in (None, STANDARD) and os.path.isdir(str(output))
    if output is not None and output.endswith(os.sep) and not into_folder:
        raise FileNotFoundError(errno.ENOENT, "is no folder; create it first", output)
    if len(sources) > 1 and output is not None and not into_folder:
        raise UsageError(f"{output}: with several inputs, -o must name an existing folder")
    jobs = []
    for source in sources:
        if output is not None and not into_folder:
            target = output
        elif source == STANDARD:
            if into_folder:
                raise UsageError(f"{output}: is a folder; name the file that standard input becomes")
            target = STANDARD
        else:
            path = Path(source)
            if not path.name:
                raise IsADirectoryError(errno.EISDIR, "is a folder", source)
            target = str(Path(output) / path.name if output else path)
            target = str(Path(target).with_suffix(suffix))
        jobs.append(Job(source, target))
    if any(job.target == STANDARD for job in jobs):
        if sys.stdout is None:
            raise OSError(errno.EBADF, "is closed; name a file with -o", "standard output")
        if sys.stdout.isatty() and not force:
            raise UsageError(
                "will not write binary data to a terminal; redirect it, use -o, or force with -f"
            )
    return jobs


@dataclass
class Writer:
    """Writes outputs, and knows which ones this run has written already."""

    force: bool
    _written: dict[str, str] = field(default_factory=dict)

    def check(self, job: Job) -> None:
        """Refuse an output that could not or should not be written, before work is spent on it."""
        if job.target == STANDARD:
            return
        target = Path(job.target)
        if job.source != STANDARD and _is_same_file(job.source, job.target):
            raise UsageError(f"{job.source}: input and output are the same file; choose another with -o")
        earlier = self._written.get(os.path.realpath(target))
        if earlier is not None:
            raise FileExistsError(
                errno.EEXIST, f"holds {earlier} from this same run; rename one of the two", job.target
            )
        check_writable(target, overwrite=self.force)

    def write(self, job: Job, data: bytes | Callable[[IO[bytes]], object]) -> None:
        """Write an output whole, or leave nothing. data: the bytes, or what writes them into a file."""
        if job.target == STANDARD:
            if not isinstance(data, bytes):
                buffer = BytesIO()
                data(buffer)
                data = buffer.getvalue()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        try:
            write_atomic(Path(job.target), data, overwrite=self.force)
        except OSError as error:
            # Which temporary file it was helps nobody: name the output.
            raise type(error)(error.errno, error.strerror, job.target) from error
        if os.path.isfile(job.target):
            self._written[os.path.realpath(job.target)] = job.source_name


def read_input(source: str, limit: int = MAX_INPUT_BYTES) -> bytes:
    """Read an input whole; raises LimitExceeded where it is longer than `limit` bytes."""
    if source == STANDARD:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "is closed; name a file", "standard input")
        if sys.stdin.isatty():
            raise UsageError("is a terminal; name a file or pipe one in")
        data = sys.stdin.buffer.read(limit + 1)
    else:
        with Path(source).open("rb") as stream:
            data = stream.read(limit + 1)
    if len(data) > limit:
        raise LimitExceeded(f"is larger than {limit:,} bytes; pass a smaller file")
    return data


def run(jobs: Sequence[Job], work: Callable[[Job], None]) -> Exit:
    """Do every job; a failed one is told in one line and does not stop the others."""
    worst = Exit.OK
    for job in jobs:
        try:
            work(job)
        except BrokenPipeError:
            raise
        except Exception as error:
            if not is_expected(error):
                raise
            fail(describe(error, job.source_name))
            worst = exit_code(error) if len(jobs) == 1 else Exit.SOME_FAILED
    return worst


def _is_same_file(first: str, second: str) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)
