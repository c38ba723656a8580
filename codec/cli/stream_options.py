"""What both directions of `--stream` share: one input, one output, and no bytes to a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Generic, TypeVar

from codec.cli.jobs import STANDARD, Job, Writer, plan
from codec.errors import CodecError, UsageError
from codec.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
