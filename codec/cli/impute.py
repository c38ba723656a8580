"""`vaezip impute`: fill in what is missing of a picture."""

from __future__ import annotations

from pathlib import Path

import click

from codec.cli.folders import save_png
from codec.cli.options import quiet_option
from codec.cli.progress import task_bar
from codec.cli.report import EXIT_CODES_HELP, say, telling
from codec.errors import UsageError
from codec.files import check_writable
from codec.model.inference.runner import need_torch


@click.command("impute", epilog=EXIT_CODES_HELP)
@click.argument("picture", metavar="IN")
@click.option("--mask", metavar="MASK", required=True, help="A picture of the same size: white is missing.")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=click.Path(dir_okay=False, readable=False, path_type=Path),
    required=True,
)
@click.option(
    "-n",
    "--samples",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="OUT, OUT_1, OUT_2, ...",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--temperature", type=click.FloatRange(0, 10), default=1.0, show_default=True)
@click.option("-f", "--force", is_flag=True, help="Overwrite files.")
@quiet_option
def impute(
    picture: str,
    mask: str,
    output: Path,
    samples: int,
    seed: int,
    temperature: float,
    force: bool,
    quiet: bool,
) -> None:
    """Fill in the white part of a mask; all other pixels are kept as they are. OUT is a PNG.

    The first result is the likeliest, further ones differ by chance. What is hidden by a large hole is not
    known: it becomes a smooth continuation of what is around.
    """
    if output.suffix.lower() != ".png":
        raise UsageError(f"{output}: pixels are kept exactly, so OUT must end in .png")
    outputs = [output, *(output.with_stem(f"{output.stem}_{i}") for i in range(1, samples))]
    for path in outputs:
        if path.resolve() in (Path(picture).resolve(), Path(mask).resolve()):
            raise UsageError(f"{path}: input and output are the same file; choose another with -o")
        check_writable(path, overwrite=force)
    need_torch("filling in")
    from codec.image.convert import load_rgb
    from codec.vae.imputation import impute as fill

    with telling(picture, quiet=quiet):
        pixels = load_rgb(picture)
    with telling(mask, quiet=quiet):
        missing = load_rgb(mask).mean(2) >= 128
    with task_bar("blocks", quiet=quiet) as progress:
        filled = fill(pixels, missing, samples=samples, seed=seed, temperature=temperature, progress=progress)
    for path, result in zip(outputs, filled, strict=True):
        save_png(path, result, force=force)
    if not quiet:
        say(f"{picture} -> {output}: {int(missing.sum())} pixels filled in")
