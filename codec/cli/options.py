"""Options that several commands share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def file_options(suffix: str) -> Callable[[_Command], _Command]:
    """Add -o, -f, --threads and -Q to a command whose outputs get `suffix` by default."""
    options = (
        click.option(
            "-o",
            "--output",
            metavar="OUT",
            help=f"Output file, or '-', or with several inputs a folder.  [default: IN with {suffix}]",
        ),
        click.option("-f", "--force", is_flag=True, help="Overwrite files; write binary data to a terminal."),
        click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: cores]"),
        click.option("-Q", "--quiet", is_flag=True, help="Print nothing but errors."),
    )

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def refuse_nan(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Refuse `nan`, which passes every comparison with a range."""
    if math.isnan(value):
        raise click.BadParameter("nan is no number from 0 to 100.")
    return value
