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
    """Add -j, the number of worker processes, to a command that processes several of `what`."""
    return click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        default=1,
        metavar="JOBS",
        help=f"{what} at a time, each in a process with one thread.  [default: 1, on all cores]",
    )


def file_options(suffix: str) -> Callable[[_Command], _Command]:
    """Add -o, -f, --threads and -Q to a command whose outputs get `suffix` by default."""
    return _all_of(
        click.option(
            "-o",
            "--output",
            type=click.Path(readable=False),
            metavar="OUT",
            help=f"Output file, '-', or with several inputs a folder.  [default: IN with {suffix}]",
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
    """Combine several options into one decorator; help lists them in this order."""

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
        help=f"Refuse {what} with more pixels.  [default: {DEFAULT_LIMITS.max_pixels}]",
    )


def _to_limits(_context: click.Context, _parameter: click.Parameter, value: int | None) -> Limits:
    """Return the limits for --max-pixels; a value above the default also removes the limit on memory."""
    if value is None:
        return DEFAULT_LIMITS
    if DEFAULT_LIMITS.max_pixels is None or value <= DEFAULT_LIMITS.max_pixels:
        return dataclasses.replace(DEFAULT_LIMITS, max_pixels=value)
    return dataclasses.replace(DEFAULT_LIMITS, max_pixels=value, max_side=None, max_memory_bytes=None)


def parse_region(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[int, int, int, int] | None:
    """Parse a rectangle X,Y,W,H in pixels."""
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
    """Parse a scale 1/N as N."""
    return int(value.rpartition("/")[2])


def refuse_nan(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Raise BadParameter for `nan`, which click's range check accepts."""
    if math.isnan(value):
        raise click.BadParameter("nan is not a number.")
    return value


def encoding_options(command: _Command) -> _Command:
    """Add a flag for every option of `Encoder`; pass them to the command as `encoding`, an EncodeOptions."""

    @functools.wraps(command)
    def collected(*arguments: Any, **values: Any) -> Any:
        given = {name: values.pop(name) for name in ("quality", *EncodeKeywords.__annotations__)}
        try:
            encoding = EncodeOptions.of(**given)
        except UsageError as error:
            raise _with_flag(error) from None
        return command(*arguments, encoding=encoding, **values)

    return _ENCODING(collected)  # type: ignore[return-value]


def _with_flag(error: UsageError) -> Exception:
    """Return a click error that names the flag of the wrong option, or the error itself if it has no flag."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name == error.field:
            return click.BadParameter(str(error), context, parameter)
    return error


def _refuse_infinite(
    _context: click.Context, _parameter: click.Parameter, value: float | None
) -> float | None:
    """Raise BadParameter for `nan` and `inf`."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter("give a finite number of seconds.")
    return value


_ENCODING = _all_of(
    quality_option("0 (smallest) to 100 (best, still lossy); fractions are allowed."),
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
        help="Time per picture after which efforts from 2 on stop with the best result.  [default: 60]",
    ),
    click.option(
        "--target-size",
        metavar="SIZE",
        help="Find the quality for this file size, such as 50kB: never more, at most 1 % or 16 bytes less.",
    ),
    click.option(
        "--target-bpp",
        type=float,
        metavar="BPP",
        help="The same, in bits per pixel of the whole file.",
    ),
    click.option(
        "--target-psnr",
        type=float,
        metavar="DB",
        help="Find the quality for this PSNR over all samples, or at most 0.05 dB more.",
    ),
    click.option(
        "--target-ssim",
        type=float,
        metavar="SSIM",
        help="Find the quality for this mean SSIM of luma (11x11 Gaussian window), such as 0.98.",
    ),
    click.option(
        "--tune",
        type=click.Choice(TUNES),
        default=EncodeOptions.tune,
        show_default=True,
        help="Error to minimise: squared error (psnr) or perceptual error (visual).",
    ),
    click.option(
        "--roi",
        multiple=True,
        metavar="X,Y,W,H[:+Q]",
        help="Raise the quality by Q in this rectangle, or where a mask picture, MASK[:+Q], is white; in "
        "tiles of 128 pixels.  [default: +30]",
    ),
    click.option("--lossless", is_flag=True, help="Store every sample exactly; -q is ignored."),
    click.option("--strip", is_flag=True, help="Omit colour profile, EXIF, XMP, text and resolution."),
)
# Options for runs over many files.
batch_options = _all_of(
    click.option("--skip-existing", is_flag=True, help="Keep existing outputs, and count them as done."),
    click.option(
        "--manifest",
        type=click.Path(readable=False),
        metavar="FILE",
        help="Record each result in FILE, and resume an interrupted run with the same FILE.",
    ),
    click.option("--retry", is_flag=True, help="Try files again that the manifest records as set aside."),
    click.option(
        "--rm",
        "remove_sources",
        is_flag=True,
        help="Remove each picture whose .vae file was read back and decoded; never one with a warning.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object per file, a line each."),
)
