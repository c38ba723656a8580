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


def parse_region(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[int, int, int, int] | None:
    """Read a rectangle X,Y,W,H in pixels."""
    if value is None:
        return None
    try:
        x, y, width, height = (int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"'{value}' is not of the form X,Y,W,H.") from None
    if min(x, y) < 0 or min(width, height) < 1:
        raise click.BadParameter(f"'{value}' is no rectangle inside a picture.")
    return x, y, width, height


def refuse_nan(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Refuse `nan`, which passes every comparison with a range."""
    if math.isnan(value):
        raise click.BadParameter("nan is no number from 0 to 100.")
    return value
