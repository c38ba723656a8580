"""`vaezip compress`: pictures to .vae files."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import click

from codec.cli.jobs import STANDARD, Job, Writer, plan, read_input, run
from codec.cli.options import file_options, refuse_nan
from codec.cli.report import EXIT_CODES_HELP, say, warn

if TYPE_CHECKING:
    from codec.encoder import Encoder
    from codec.image.convert import RgbArray


@click.command("compress", epilog=EXIT_CODES_HELP)
@click.argument("pictures", metavar="IN...", nargs=-1, required=True)
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    callback=refuse_nan,
    default=75.0,
    show_default=True,
    metavar="Q",
    help="0 (smallest) to 100 (best, still lossy); fractions count.",
)
@file_options(".vae")
def compress(
    pictures: tuple[str, ...],
    quality: float,
    output: str | None,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Compress pictures into .vae files.

    IN is any picture that Pillow reads, or '-' for standard input. It is kept as 8-bit RGB: what RGB
    cannot hold is converted, with a warning.
    """
    encoder: Encoder | None = None
    writer = Writer(force)

    def work(job: Job) -> None:
        nonlocal encoder
        writer.check(job)
        rgb, n_input_bytes = _load(job, quiet=quiet)
        if encoder is None:
            from codec.encoder import Encoder

            encoder = Encoder(quality, threads=threads)
        data = encoder.encode(rgb)
        writer.write(job, data)
        if not quiet:
            say(_summary(job, rgb, n_input_bytes, len(data)))

    return run(plan(pictures, output, ".vae", force=force), work)


def _load(job: Job, *, quiet: bool) -> tuple[RgbArray, int]:
    """Return the picture and the size of its file; whatever is wrong with it shows before torch is loaded."""
    from codec.image.convert import load_rgb

    source: str | bytes = read_input(job.source) if job.source == STANDARD else job.source
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        # Between Pillow's warning and its refusal lie pictures that this codec takes without a word.
        warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
        rgb = load_rgb(source)
    if not quiet:
        for text in dict.fromkeys(str(warning.message) for warning in caught):
            warn(job.source_name, text)
    return rgb, len(source) if isinstance(source, bytes) else os.stat(source).st_size


def _summary(job: Job, rgb: RgbArray, n_input_bytes: int, n_bytes: int) -> str:
    height, width = rgb.shape[:2]
    ratio = f"{n_input_bytes / n_bytes:.1f}:1" if n_input_bytes else "from a pipe"
    return (
        f"{job.source_name} -> {job.target_name}: {width}x{height}, {n_input_bytes} -> {n_bytes} bytes "
        f"({ratio}), {8 * n_bytes / (width * height):.3f} bpp"
    )
