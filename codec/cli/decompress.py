"""`vaezip decompress`: .vae files to pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codec.bitstream.container import parse_container
from codec.cli import formats
from codec.cli.jobs import Job, Writer, plan, read_input, run
from codec.cli.options import file_options
from codec.cli.report import EXIT_CODES_HELP, say
from codec.model.index import model_entry

if TYPE_CHECKING:
    from codec.decoder import Decoder


@click.command("decompress", epilog=EXIT_CODES_HELP)
@click.argument("files", metavar="IN...", nargs=-1, required=True)
@file_options(".png")
def decompress(
    files: tuple[str, ...], output: str | None, force: bool, threads: int | None, quiet: bool
) -> int:
    """Decompress .vae files into pictures.

    IN is a .vae file, or '-' for standard input. The suffix of OUT chooses the format: .png, .webp, .tif,
    .bmp, .ppm and .tga keep every pixel, .jpg loses a little more. Standard output gets PNG.
    """
    decoder: Decoder | None = None
    writer = Writer(force)
    jobs = plan(files, output, ".png", force=force)
    chosen = {job: formats.choose(job.target) for job in jobs}

    def work(job: Job) -> None:
        nonlocal decoder
        writer.check(job)
        data = read_input(job.source)
        # Faulty structure and unknown models are refused here, before torch is loaded.
        header = parse_container(data).header
        formats.check_size(job.target, chosen[job], header.width, header.height)
        model_entry(header.model_id)
        if decoder is None:
            from codec.decoder import Decoder

            decoder = Decoder(threads=threads)
        picture = decoder.decode(data)
        writer.write(job, formats.save(picture, chosen[job]))
        if not quiet:
            say(f"{job.source_name} -> {job.target_name}: {picture.width}x{picture.height}")

    return run(jobs, work)
