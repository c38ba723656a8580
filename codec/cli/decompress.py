"""`vaezip decompress`: .vae files, or a .vaes stream, to pictures."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from codec.cli import output_formats
from codec.cli.decompress_files import DecompressOptions, decompress_file, decompress_files, print_result
from codec.cli.jobs import DeferredError, Job, Writer, open_input, plan, plan_stream, run, write_stream
from codec.cli.parameters import file_options, jobs_option, limit_option, parse_region, parse_scale
from codec.cli.report import EXIT_CODES_HELP, Exit, fail, say, warn
from codec.errors import UsageError
from codec.io.files import write_all
from codec.io.mapping import is_stream
from codec.stream import Reader

if TYPE_CHECKING:
    from PIL import Image

    from codec.limits import Limits


def decompress_stream(
    sources: tuple[str, ...],
    output: str | None,
    *,
    suffix: str,
    limits: Limits,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> Exit:
    """Decompress one .vaes stream to a sequence of pictures.

    Damaged frames are reported and omitted; the exit code is then 1.
    """
    lost = 0
    chosen = output_formats.FORMATS[suffix]

    def work(job: Job) -> None:
        from io import BytesIO

        count = 0
        losses: dict[str, None] = {}
        done: DeferredError[Image.Image] = DeferredError()

        def write(out: IO[bytes]) -> None:
            nonlocal count, lost
            with open_input(job) as file:
                reader = Reader(file, on_loss="skip")
                from codec.decode.decoder import Decoder

                decoder = Decoder(threads=threads, limits=limits)
                for picture in done.items_before(decoder.map(frame.data for frame in reader)):
                    buffer = BytesIO()
                    output_formats.save(picture, chosen, buffer)
                    losses.update(dict.fromkeys(output_formats.losses(picture, chosen)))
                    write_all(out, buffer.getbuffer())
                    count += 1
            for frames in reader.lost:
                lost += len(frames)
                fail(f"{job.source_name}: frames {frames[0]} to {frames[-1]} are damaged and left out")
            if not reader.ended and done.error is None:
                lost += 1
                fail(f"{job.source_name}: the stream is truncated after frame {count - 1}; fetch it again")

        write_stream(job, write, force=force)
        if not quiet:
            for loss in losses:
                warn(job.target_name, loss)
            say(f"{job.source_name} -> {job.target_name}: {count} frames")
        if done.error is not None:
            raise done.error

    done = run([plan_stream(sources, output, suffix, force=force)], work)
    return Exit.SOME_FAILED if done == Exit.OK and lost else done


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
    help="Decode a preview at this scale, which is faster.",
)
@click.option("--stream", is_flag=True, help="IN is a .vaes stream; OUT is the sequence of its pictures.")
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
    help="Recover the intact tiles of a damaged file and mark the lost ones; exit code 4.",
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

    IN is a .vae file, a folder or pattern of them, or '-' for standard input. The suffix of OUT selects the
    format: .png, .webp, .tif, .bmp, .ppm and .tga are lossless, .jpg is lossy. Transparency is blended over
    white for .jpg, .bmp and .ppm, which cannot store it. Standard output gets PNG.
    """
    if salvage and (region is not None or scale != 1 or stream):
        raise UsageError("--salvage cannot be combined with --region, --scale or --stream")
    if stream:
        if region is not None or scale != 1 or jobs > 1:
            raise UsageError("--stream cannot be combined with --jobs, --region or --scale")
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
            output_formats.choose(job.target)
    options = DecompressOptions(region, scale, salvage, limits, force, threads, quiet)
    if min(jobs, len(planned)) > 1:
        return decompress_files(options, planned, jobs)
    writer = Writer(force, planned)

    def work(job: Job) -> None:
        writer.check(job)
        print_result(options, job, decompress_file(options, job, writer))

    return run(planned, work)
