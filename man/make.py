#!/usr/bin/env python3
"""Generate the man pages from the help of the commands. Needs click-man.

    python man/make.py

The pages are committed, so that building a wheel does not need click-man.
"""

from __future__ import annotations

from pathlib import Path

import click
from click_man.core import write_man_pages

from codec import __version__
from codec.cli.main import vaezip
from codec.cli.report import EXIT_CODES_HELP

FOLDER = Path(__file__).resolve().parent / "man1"
# No date: with the current one, every page would change on every day.
NO_DATE = " "


def main() -> None:
    """Write one page for each command."""
    for old in FOLDER.glob("*.1"):
        old.unlink()
    load(vaezip)
    write_man_pages("vaezip", vaezip, version=__version__, target_dir=str(FOLDER), date=NO_DATE)
    for page in FOLDER.glob("*.1"):
        page.write_text(page.read_text() + exit_status())


def load(group: click.Group) -> None:
    """Load all commands of a group that loads them lazily, as click-man expects."""
    context = click.Context(group, info_name=group.name)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            group.add_command(command, name)
            if isinstance(command, click.Group):
                load(command)


def exit_status() -> str:
    """Return the section EXIT STATUS in roff."""
    rows = (line.split(maxsplit=1) for line in EXIT_CODES_HELP.splitlines() if line.startswith("  "))
    return ".SH EXIT STATUS\n" + "".join(f".TP\n\\fB{code}\\fP\n{meaning}\n" for code, meaning in rows)


if __name__ == "__main__":
    main()
