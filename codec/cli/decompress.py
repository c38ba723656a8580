"""`vaezip decompress`: .vae files to pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from codec.cli import formats
from codec.cli.jobs import Job, Writer, plan, run
from codec.cli.options import file_options, jobs_option, limit_option, parse_region, parse_scale
from codec.cli.report import EXIT_CODES_HELP
from codec.cli.unpack import Unpacking, tell, unpack
from codec.errors import UsageError
from codec.storage.pictures import is_stream

if TYPE_CHECKING:
    from codec.limits import Limits


@click.command("decompress", epilog=EXIT_CODES_HELP)
@click.argument("files", metavar="IN...", nargs=-1, required=True, type=click.Path(readable=False))
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
@jobs_option("Files")
@limit_option("files")
@file_options(".png")
def decompress(
    files: tuple[str, ...],
    region: tuple[int, int, int, int] | None,
    scale: int,
    stream: bool,
    frames: str,
    salvage: bool,
    jobs: int,
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

        if region is not None or scale != 1 or jobs > 1:
            raise UsageError("--jobs, --region and --scale are not for --stream")
        return decompress_stream(
            files,
            output,
            suffix=f".{frames}",
            limits=limits,
            force=force,
            threads=threads,
            quiet=quiet,
        )
    planned = plan(files, output, ".png", force=force, accepts=is_stream)
    for job in planned:
        if job.error is None:
            formats.choose(job.target)
    how = Unpacking(region, scale, salvage, limits, force, threads, quiet)
    if min(jobs, len(planned)) > 1:
        from codec.cli.unpack_many import unpack_many

        return unpack_many(how, planned, jobs)
    writer = Writer(force, planned)

    def work(job: Job) -> None:
        writer.check(job)
        tell(how, job, unpack(how, job, writer))

    return run(planned, work)
