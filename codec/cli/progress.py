"""Progress bars for pictures and batches that take a while, on a terminal only."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from codec.cli.report import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Smaller ones are done before anyone could read a bar.
MIN_PIXELS = 4_000_000


@contextmanager
def progress_bar(name: str, n_pixels: int, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on standard error while the block runs; yields what is to be called with (done, total).

    Yields None where no bar is shown: in a pipe, with -Q, or for a small picture.
    """
    with task_bar(name, quiet=quiet or n_pixels < MIN_PIXELS) as progress:
        yield progress


@contextmanager
def task_bar(name: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """As progress_bar, for work that is long whatever the pictures' size."""
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
    """Show how many of several files are done; yields what is to be called after each.

    Lines printed meanwhile stand above the bar.
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
