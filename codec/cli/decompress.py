"""`vaezip decompress`: .vae files to pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codec.bitstream.container import parse_container
from codec.cli import formats
from codec.cli.jobs import Job, Writer, plan, read_input, run
from codec.cli.options import file_options, limit_option, parse_region
from codec.cli.progress import progress_bar
from codec.cli.report import EXIT_CODES_HELP, say, warn
from codec.model.index import model_entry
from codec.storage.pictures import is_stream

if TYPE_CHECKING:
    from codec.decoder import Decoder
    from codec.limits import Limits


@click.command("decompress", epilog=EXIT_CODES_HELP)
@click.argument("files", metavar="IN...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--region",
    callback=parse_region,
    metavar="X,Y,W,H",
    help="Decode only this rectangle, in pixels from the top left corner.",
)
@limit_option("files")
@file_options(".png")
def decompress(
    files: tuple[str, ...],
    region: tuple[int, int, int, int] | None,
    limits: Limits,
    output: str | None,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Decompress .vae files into pictures.

    IN is a .vae file, a folder or pattern of them, or '-' for standard input. The suffix of OUT chooses the
    format: .png, .webp, .tif, .bmp, .ppm and .tga keep every pixel, .jpg loses a little more.
    Transparency is laid over white for .jpg, .bmp and .ppm, which hold none. Standard output gets PNG.
    """
    decoder: Decoder | None = None
    jobs = plan(files, output, ".png", force=force, accepts=is_stream)
    writer = Writer(force, jobs)
    chosen = {job: formats.choose(job.target) for job in jobs}

    def work(job: Job) -> None:
        nonlocal decoder
        writer.check(job)
        data = read_input(job.source)
        # Faulty structure and unknown models are refused here, before torch is loaded.
        header = parse_container(data, limits).header
        width, height = (header.width, header.height) if region is None else region[2:]
        formats.check_size(job.target, chosen[job], width, height)
        model_entry(header.model_id)
        if decoder is None:
            from codec.decoder import Decoder

            decoder = Decoder(threads=threads, limits=limits)
        with progress_bar(job.source_name, width * height, quiet=quiet) as progress:
            picture = decoder.decode(data, region=region, progress=progress)
        writer.write(job, lambda file: formats.save(picture, chosen[job], file))
        if not quiet:
            for loss in formats.losses(picture, chosen[job]):
                warn(job.target_name, loss)
            say(f"{job.source_name} -> {job.target_name}: {picture.width}x{picture.height}")

    return run(jobs, work)
