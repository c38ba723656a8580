"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any, TypeVar

import click

from codec.encode.options import (
    DEFAULT_EFFORT,
    DEFAULT_QUALITY,
    MAX_EFFORT,
    TUNES,
    EncodeKeywords,
    EncodeOptions,
)
from codec.errors import UsageError
from codec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

_Command = TypeVar("_Command", bound="Callable[..., Any]")


threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: cores]"
)
quiet_option = click.option("-Q", "--quiet", is_flag=True, help="Print nothing but errors.")


def jobs_option(what: str) -> Callable[[_Command], _Command]:
    """Add -j to a command that works on several of `what` at a time if so asked."""
    return click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        default=1,
        metavar="JOBS",
        help=f"{what} at a time, each in a process of one thread.  [default: 1, of all cores]",
    )


def file_options(suffix: str) -> Callable[[_Command], _Command]:
    """Add -o, -f, --threads and -Q to a command whose outputs get `suffix` by default."""
    return _all_of(
        click.option(
            "-o",
            "--output",
            type=click.Path(readable=False),
            metavar="OUT",
            help=f"Output file, or '-', or with several inputs a folder.  [default: IN with {suffix}]",
        ),
        click.option("-f", "--force", is_flag=True, help="Overwrite files; write binary data to a terminal."),
        threads_option,
        quiet_option,
    )


def quality_option(help_text: str) -> Callable[[_Command], _Command]:
    """Add -q, 0 to 100."""
    return click.option(
        "-q",
        "--quality",
        type=click.FloatRange(0, 100),
        callback=refuse_nan,
        default=DEFAULT_QUALITY,
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


def encoding_options(command: _Command) -> _Command:
    """Add a flag for every option of `Encoder`, and hand them over as one EncodeOptions, `encoding`."""

    @functools.wraps(command)
    def collected(*arguments: Any, **values: Any) -> Any:
        given = {name: values.pop(name) for name in ("quality", *EncodeKeywords.__annotations__)}
        try:
            encoding = EncodeOptions.of(**given)
        except UsageError as error:
            raise _blame_flag(error) from None
        return command(*arguments, encoding=encoding, **values)

    return _ENCODING(collected)  # type: ignore[return-value]


def _blame_flag(error: UsageError) -> Exception:
    """Return an error that names the flag at fault as click does, or the error itself if none is alone."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name == error.field:
            return click.BadParameter(str(error), context, parameter)
    return error


def _refuse_infinite(
    _context: click.Context, _parameter: click.Parameter, value: float | None
) -> float | None:
    """Refuse `nan` and `inf`."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("give a number of seconds.")
    return value


_ENCODING = _all_of(
    quality_option("0 (smallest) to 100 (best, still lossy); fractions count."),
    click.option(
        "-e",
        "--effort",
        type=click.IntRange(0, MAX_EFFORT),
        default=DEFAULT_EFFORT,
        show_default=True,
        metavar="E",
        help=f"0 (fastest) to {MAX_EFFORT} (smallest files at equal PSNR); 2 and up need torch.",
    ),
    click.option(
        "--budget",
        "seconds",
        type=click.FloatRange(0, min_open=True),
        callback=_refuse_infinite,
        metavar="SECONDS",
        help="Stop efforts from 2 on with the best so far, after about so long a picture.  [default: 60]",
    ),
    click.option(
        "--target-size",
        metavar="SIZE",
        help="Find the quality that fills this size, such as 50kB: never more, at most 1 % or 16 bytes less.",
    ),
    click.option(
        "--target-bpp",
        type=float,
        metavar="BPP",
        help="The same, by bits per pixel of the whole file.",
    ),
    click.option(
        "--target-psnr",
        type=float,
        metavar="DB",
        help="Find the quality of this PSNR over all samples, or up to 0.05 dB more.",
    ),
    click.option(
        "--target-ssim",
        type=float,
        metavar="SSIM",
        help="Find the quality of this mean SSIM of luma (11x11 Gaussian window), such as 0.98.",
    ),
    click.option(
        "--tune",
        type=click.Choice(TUNES),
        default=EncodeOptions.tune,
        show_default=True,
        help="What bits are spent for: squared error, or perceptual error.",
    ),
    click.option(
        "--roi",
        multiple=True,
        metavar="X,Y,W,H[:+Q]",
        help="More quality there, in tiles of 128 pixels; or a mask picture, MASK[:+Q].  [default: +30]",
    ),
    click.option("--lossless", is_flag=True, help="Keep every sample exactly; -q then counts for nothing."),
    click.option("--strip", is_flag=True, help="Leave out colour profile, EXIF, XMP, text and resolution."),
)
# What is of use with many files.
batch_options = _all_of(
    click.option("--skip-existing", is_flag=True, help="Leave outputs that exist, and count them as done."),
    click.option(
        "--manifest",
        type=click.Path(readable=False),
        metavar="FILE",
        help="Note each file there as it is done; with the same FILE, go on where a run was cut off.",
    ),
    click.option("--retry", is_flag=True, help="Try files again that the manifest has set aside."),
    click.option(
        "--rm",
        "remove_sources",
        is_flag=True,
        help="Remove each picture, after its .vae file was read back and decoded; never one with a warning.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file, a line each."),
)
