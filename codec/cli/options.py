"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

from codec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

_Command = TypeVar("_Command", bound="Callable[..., Any]")


threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: cores]"
)
quiet_option = click.option("-Q", "--quiet", is_flag=True, help="Print nothing but errors.")


def file_options(suffix: str) -> Callable[[_Command], _Command]:
    """Add -o, -f, --threads and -Q to a command whose outputs get `suffix` by default."""
    return _all_of(
        click.option(
            "-o",
            "--output",
            type=click.Path(),
            metavar="OUT",
            help=f"Output file, or '-', or with several inputs a folder.  [default: IN with {suffix}]",
        ),
        click.option("-f", "--force", is_flag=True, help="Overwrite files; write binary data to a terminal."),
        threads_option,
        quiet_option,
    )


def quality_option(help_text: str) -> Callable[[_Command], _Command]:
    """Add -q, 0 to 100, with 75 for its default."""
    return click.option(
        "-q",
        "--quality",
        type=click.FloatRange(0, 100),
        callback=refuse_nan,
        default=75.0,
        show_default=True,
        metavar="Q",
        help=help_text,
    )


def _all_of(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Make one decorator of several options, which are listed in this order."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def limit_option(what: str) -> Callable[[_Command], _Command]:
    """Add --max-pixels to a command that reads `what`."""
    return click.option(
        "--max-pixels",
        "limits",
        type=click.IntRange(min=1),
        callback=_to_limits,
        metavar="N",
        help=f"Refuse {what} of more pixels.  [default: {DEFAULT_LIMITS.max_pixels}]",
    )


def _to_limits(_context: click.Context, _parameter: click.Parameter, value: int | None) -> Limits:
    """Return the limits that --max-pixels asks for; whoever raises it trusts the file in its memory, too."""
    if value is None:
        return DEFAULT_LIMITS
    if DEFAULT_LIMITS.max_pixels is None or value <= DEFAULT_LIMITS.max_pixels:
        return dataclasses.replace(DEFAULT_LIMITS, max_pixels=value)
    return dataclasses.replace(DEFAULT_LIMITS, max_pixels=value, max_side=None, max_memory_bytes=None)


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


def parse_scale(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Read a scale 1/N as N."""
    return int(value.rpartition("/")[2])


def refuse_nan(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Refuse `nan`, which passes every comparison with a range."""
    if math.isnan(value):
        raise click.BadParameter("nan is no number from 0 to 100.")
    return value


# What decides about the bytes of a .vae file.
encoding_options = _all_of(
    quality_option("0 (smallest) to 100 (best, still lossy); fractions count."),
    click.option("--lossless", is_flag=True, help="Keep every sample exactly; -q then counts for nothing."),
    click.option("--strip", is_flag=True, help="Leave out colour profile, EXIF, XMP, text and resolution."),
)
# What is of use with many files.
batch_options = _all_of(
    click.option("--skip-existing", is_flag=True, help="Leave outputs that exist, and count them as done."),
    click.option(
        "--manifest",
        type=click.Path(),
        metavar="FILE",
        help="Note each file there as it is done; with the same FILE, go on where a run was cut off.",
    ),
    click.option("--retry", is_flag=True, help="Try files again that the manifest has set aside."),
    click.option(
        "--rm",
        "remove_sources",
        is_flag=True,
        help="Remove each picture, after its .vae file was read back and decoded.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file, a line each."),
)
