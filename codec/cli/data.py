"""`vaezip data`: pictures that benchmarks use."""

from __future__ import annotations

from pathlib import Path

import click

from codec.cli.report import say


@click.group()
def data() -> None:
    """Get pictures to measure with; datasets.md says what they are."""


@data.command()
@click.argument("name", type=click.Choice(["kodak"]))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to put the files in; those already there are checked.  [default: ./NAME]",
)
@click.option("--from", "address", metavar="URL", help="A mirror of the folder with the files.")
def fetch(name: str, output: Path | None, address: str | None) -> None:
    """Fetch a data set, every file checked against its SHA-256."""
    from codec.data.fetch import fetch as fetch_files

    folder = output or Path(name)
    fetched = 0
    total = 0
    for file, is_new in fetch_files(name, folder, address):
        total += 1
        fetched += is_new
        if is_new:
            say(f"{folder / file}")
    say(f"{folder}: {total} files, {fetched} of them fetched now")
