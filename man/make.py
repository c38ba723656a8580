#!/usr/bin/env python3
"""Write the man pages anew, from the commands themselves: needs click-man.

    python man/make.py

They are committed, so that a wheel holds them without building anything.
"""

from __future__ import annotations

from pathlib import Path

import click
from click_man.core import write_man_pages

from codec import __version__
from codec.cli.main import vaezip
from codec.cli.report import EXIT_CODES_HELP

FOLDER = Path(__file__).resolve().parent / "man1"
# No date: that of the day would make every page differ from the one before.
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
    """Give a group that loads its commands when they run all of them at once, as click-man expects."""
    context = click.Context(group, info_name=group.name)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            group.add_command(command, name)
            if isinstance(command, click.Group):
                load(command)


def exit_status() -> str:
    """Return the section about exit codes."""
    rows = (line.split(maxsplit=1) for line in EXIT_CODES_HELP.splitlines() if line.startswith("  "))
    return ".SH EXIT STATUS\n" + "".join(f".TP\n\\fB{code}\\fP\n{meaning}\n" for code, meaning in rows)


if __name__ == "__main__":
    main()
