"""`vaezip decompress`: .vae files to pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codec.bitstream.container import parse_container
from codec.bitstream.header import parse_header
from codec.cli import formats
from codec.cli.jobs import Job, Writer, plan, read_input, run
from codec.cli.options import file_options, limit_option, parse_region, parse_scale
from codec.cli.progress import progress_bar
from codec.cli.report import EXIT_CODES_HELP, say, warn
from codec.errors import CorruptPayload, UsageError
from codec.heap import giving_back, share_one_heap
from codec.model.index import model_entry
from codec.storage.pictures import is_stream

if TYPE_CHECKING:
    from codec.decoder import Decoder
    from codec.limits import Limits

# Lost tiles that a message names one by one.
_TOLD = 8


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
@click.option(
    "--salvage",
    is_flag=True,
    help="Of a damaged file, write the intact tiles and mark the lost ones; exit 4.",
)
@limit_option("files")
@file_options(".png")
def decompress(
    files: tuple[str, ...],
    region: tuple[int, int, int, int] | None,
    scale: int,
    stream: bool,
    frames: str,
    salvage: bool,
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
    if salvage and (region is not None or scale != 1 or stream):
        raise UsageError("--salvage takes one whole picture, without --region, --scale and --stream")
    if stream:
        from codec.cli.stream_out import decompress_stream

        if region is not None or scale != 1:
            raise UsageError("--region and --scale are for single pictures, not for --stream")
        return decompress_stream(
            files,
            output,
            suffix=f".{frames}",
            limits=limits,
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
        header = parse_header(data, limits) if salvage else parse_container(data, limits).header
        width, height = (header.width, header.height) if region is None else region[2:]
        formats.check_size(job.target, chosen[job], -(-width // scale), -(-height // scale))
        model_entry(header.model_id)
        if salvage:
            _salvage(job, writer, data, chosen[job], threads=threads, limits=limits, quiet=quiet)
            return
        if decoder is None:
            from codec.decoder import Decoder

            share_one_heap()
            decoder = Decoder(threads=threads, limits=limits)
        with progress_bar(job.source_name, width * height, quiet=quiet) as progress:
            picture = decoder.decode(data, region=region, scale=scale, progress=giving_back(progress))
        writer.write(job, lambda file: formats.save(picture, chosen[job], file))
        if not quiet:
            for loss in formats.losses(picture, chosen[job]):
                warn(job.target_name, loss)
            say(f"{job.source_name} -> {job.target_name}: {picture.width}x{picture.height}")

    return run(jobs, work)


def _salvage(
    job: Job,
    writer: Writer,
    data: bytes,
    chosen: formats.Format,
    *,
    threads: int | None,
    limits: Limits,
    quiet: bool,
) -> None:
    """Write what is intact of a file. Raises CorruptPayload, saying what is lost, unless all of it is."""
    from codec.salvaging import salvage

    found = salvage(data, threads=threads, limits=limits)
    writer.write(job, lambda file: formats.save(found.picture, chosen, file))
    lost = [f"tile {t.index} at {t.x},{t.y} of {t.width}x{t.height} pixels" for t in found.lost]
    told = [*lost[:_TOLD], *([f"{len(lost) - _TOLD} more tiles"] if len(lost) > _TOLD else []), *found.notes]
    if told:
        kept = f"{found.tiles - len(lost)} of {found.tiles} tiles are in {job.target_name}"
        raise CorruptPayload(f"{kept}; damaged or lost: {'; '.join(told)}")
    if not quiet:
        say(f"{job.source_name} -> {job.target_name}: sound, nothing to salvage")
