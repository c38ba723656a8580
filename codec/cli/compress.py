"""`vaezip compress`: pictures to .vae files."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import click

from codec.cli.jobs import STANDARD, Job, Writer, plan, read_input, run
from codec.cli.options import file_options, refuse_nan
from codec.cli.progress import progress_bar
from codec.cli.report import EXIT_CODES_HELP, say, warn

if TYPE_CHECKING:
    from codec.encoder import Encoder
    from codec.image.picture import Picture


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
@click.option("--lossless", is_flag=True, help="Keep every sample exactly; -q then counts for nothing.")
@click.option("--strip", is_flag=True, help="Leave out colour profile, EXIF, XMP, text and resolution.")
@file_options(".vae")
def compress(
    pictures: tuple[str, ...],
    quality: float,
    lossless: bool,
    strip: bool,
    output: str | None,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Compress pictures into .vae files.

    IN is any picture that Pillow reads, or '-' for standard input. Gray, transparency and metadata are kept;
    what is not, such as 16-bit samples or further frames, is told in a warning.
    """
    encoder: Encoder | None = None
    writer = Writer(force)

    def work(job: Job) -> None:
        nonlocal encoder
        writer.check(job)
        picture, n_input_bytes = _load(job, quiet=quiet)
        if encoder is None:
            from codec.encoder import Encoder

            encoder = Encoder(quality, threads=threads, strip=strip, lossless=lossless)
        with progress_bar(job.source_name, picture.width * picture.height, quiet=quiet) as progress:
            data = encoder.encode(picture, progress=progress)
        writer.write(job, data)
        if not quiet:
            say(_summary(job, picture, n_input_bytes, len(data)))

    return run(plan(pictures, output, ".vae", force=force), work)


def _load(job: Job, *, quiet: bool) -> tuple[Picture, int]:
    """Return the picture and the size of its file; whatever is wrong with it shows before torch is loaded."""
    from codec.image.convert import load_picture

    source: str | bytes = read_input(job.source) if job.source == STANDARD else job.source
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        # Between Pillow's warning and its refusal lie pictures that this codec takes without a word.
        warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
        picture = load_picture(source)
    if not quiet:
        for text in dict.fromkeys(str(warning.message) for warning in caught):
            warn(job.source_name, text)
    return picture, len(source) if isinstance(source, bytes) else os.stat(source).st_size


def _summary(job: Job, picture: Picture, n_input_bytes: int, n_bytes: int) -> str:
    width, height = picture.width, picture.height
    ratio = f"{n_input_bytes / n_bytes:.1f}:1" if n_input_bytes else "from a pipe"
    return (
        f"{job.source_name} -> {job.target_name}: {width}x{height}, {n_input_bytes} -> {n_bytes} bytes "
        f"({ratio}), {8 * n_bytes / (width * height):.3f} bpp"
    )
