"""Progress bars on a terminal, for large pictures and batches."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from codec.cli.report import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Smaller pictures are done too soon for a bar to be readable.
MIN_PIXELS = 4_000_000


@contextmanager
def progress_bar(name: str, n_pixels: int, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on standard error during the block; yield a function to call with (done, total).

    Yields None if no bar is shown: not on a terminal, with `quiet`, or below MIN_PIXELS.
    """
    with task_bar(name, quiet=quiet or n_pixels < MIN_PIXELS) as progress:
        yield progress


@contextmanager
def task_bar(name: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Do as `progress_bar`, for work that takes long regardless of the size of pictures."""
    if quiet or not _on_terminal():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escape(printable(name)), total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield update


@contextmanager
def files_bar(n_files: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show the number of files done during the block; yield a function to call after each.

    Lines printed meanwhile appear above the bar. No bar for fewer than two files.
    """
    if quiet or n_files < 2 or not _on_terminal():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("files", total=n_files)
        yield lambda: progress.advance(task)


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
