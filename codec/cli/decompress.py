"""`vaezip decompress`: .vae files to pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codec.bitstream.container import parse_container
from codec.cli import formats
from codec.cli.jobs import Job, Writer, plan, read_input, run
from codec.cli.options import file_options, parse_region, parse_scale
from codec.cli.progress import progress_bar
from codec.cli.report import EXIT_CODES_HELP, say, warn
from codec.errors import UsageError
from codec.heap import giving_back, share_one_heap
from codec.limits import DEFAULT_LIMITS
from codec.model.index import model_entry
from codec.storage.pictures import is_stream

if TYPE_CHECKING:
    from codec.decoder import Decoder


@click.command("decompress", epilog=EXIT_CODES_HELP)
@click.argument("files", metavar="IN...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--region",
    callback=parse_region,
    metavar="X,Y,W,H",
    help="Decode only this rectangle, in pixels from the top left corner.",
)
@click.option(
    "--scale",
    type=click.Choice(["1", "1/8", "1/16"]),
    default="1",
    callback=parse_scale,
    help="Make a quick preview so many times smaller.",
)
@click.option("--stream", is_flag=True, help="IN is a .vaes stream; OUT is its pictures, one after another.")
@click.option(
    "--frames",
    type=click.Choice(["png", "ppm"]),
    default="png",
    show_default=True,
    help="Format of the pictures that --stream writes.",
)
@file_options(".png")
def decompress(
    files: tuple[str, ...],
    region: tuple[int, int, int, int] | None,
    scale: int,
    stream: bool,
    frames: str,
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
    if stream:
        from codec.cli.stream_out import decompress_stream

        if region is not None or scale != 1:
            raise UsageError("--region and --scale are for single pictures, not for --stream")
        return decompress_stream(
            files,
            output,
            suffix=f".{frames}",
            limits=DEFAULT_LIMITS,
            force=force,
            threads=threads,
            quiet=quiet,
        )
    decoder: Decoder | None = None
    jobs = plan(files, output, ".png", force=force, accepts=is_stream)
    writer = Writer(force, jobs)
    chosen = {job: formats.choose(job.target) for job in jobs}

    def work(job: Job) -> None:
        nonlocal decoder
        writer.check(job)
        data = read_input(job.source)
        # Faulty structure and unknown models are refused here, before torch is loaded.
        header = parse_container(data).header
        width, height = (header.width, header.height) if region is None else region[2:]
        formats.check_size(job.target, chosen[job], -(-width // scale), -(-height // scale))
        model_entry(header.model_id)
        if decoder is None:
            from codec.decoder import Decoder

            share_one_heap()
            decoder = Decoder(threads=threads)
        with progress_bar(job.source_name, width * height, quiet=quiet) as progress:
            picture = decoder.decode(data, region=region, scale=scale, progress=giving_back(progress))
        writer.write(job, lambda file: formats.save(picture, chosen[job], file))
        if not quiet:
            for loss in formats.losses(picture, chosen[job]):
                warn(job.target_name, loss)
            say(f"{job.source_name} -> {job.target_name}: {picture.width}x{picture.height}")

    return run(jobs, work)
