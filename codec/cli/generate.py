"""`vaezip sample`, `interpolate`, `traverse` and `impute`: generate pictures with the model."""

from __future__ import annotations

from pathlib import Path

import click

from codec.cli.output_formats import (
    ANIMATION,
    SHEET,
    contact_sheet,
    prepare,
    prepare_frames,
    save_frames,
    save_png,
)
from codec.cli.parameters import quality_option, quiet_option, threads_option
from codec.cli.progress import task_bar
from codec.cli.report import EXIT_CODES_HELP, report_warnings, say
from codec.errors import UsageError
from codec.inference.backends import need_torch
from codec.io.files import check_writable

_FOLDER = click.Path(file_okay=False, path_type=Path)

_output = click.option(
    "-o", "--output", "folder", metavar="DIR", type=_FOLDER, required=True, help="Output folder."
)
_force = click.option("-f", "--force", is_flag=True, help="Overwrite files.")
_quality = quality_option("Rate of the latents, 0 to 100.")


@click.command("sample", epilog=EXIT_CODES_HELP)
@click.option(
    "-n", "--count", type=click.IntRange(1, 10_000), default=16, show_default=True, help="Pictures."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed.")
@click.option(
    "--side",
    type=click.IntRange(64, 512),
    default=128,
    show_default=True,
    help="Pixels a side, a multiple of 64.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0, 10),
    default=1.0,
    show_default=True,
    help="Sampling temperature of y; 0 takes the most probable values.",
)
@click.option(
    "--temperature-z", type=click.FloatRange(0, 10), help="Sampling temperature of z.  [default: that of y]"
)
@click.option(
    "--model",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sample from this classical VAE instead, made by `vaezip train vae`.",
)
@_quality
@_output
@_force
@threads_option
@quiet_option
def sample(
    count: int,
    seed: int,
    side: int,
    temperature: float,
    temperature_z: float | None,
    model: Path | None,
    quality: float,
    folder: Path,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> None:
    """Draw new pictures from the prior of the model and write them with a contact sheet.

    The same seed gives the same pictures. The codec's prior is local: it yields textures, not scenes. A
    classical VAE yields pictures like those that it was trained on.
    """
    need_torch("drawing pictures")
    names = [f"sample_{index:04d}.png" for index in range(count)]
    *paths, sheet = prepare(folder, [*names, SHEET], force=force)
    if model is not None:
        from codec.vae import ClassicalVae

        drawn = list(ClassicalVae.load(model).sample(count, seed=seed, temperature=temperature))
    else:
        from codec.vae import sample as draw

        with task_bar("samples", quiet=quiet) as progress:
            drawn = draw(
                count,
                seed=seed,
                side=side,
                temperature_y=temperature,
                temperature_z=temperature if temperature_z is None else temperature_z,
                quality=quality,
                threads=threads,
                progress=progress,
            )
    for path, pixels in zip(paths, drawn, strict=True):
        save_png(path, pixels, force=force)
    save_png(sheet, contact_sheet(drawn, max(1, round(count**0.5))), force=force)
    if not quiet:
        say(f"{folder}: {count} pictures and {SHEET}")


@click.command("interpolate", epilog=EXIT_CODES_HELP)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("-n", "--count", type=click.IntRange(2, 1000), default=9, show_default=True, help="Frames.")
@click.option("--spherical", is_flag=True, help="Interpolate along a great arc instead of a straight line.")
@_quality
@_output
@_force
@threads_option
@quiet_option
def interpolate(
    first: str,
    second: str,
    count: int,
    spherical: bool,
    quality: float,
    folder: Path,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> None:
    """Interpolate from picture A to picture B in latent space: frames, a contact sheet and an animated WebP.

    If the sizes differ, the larger picture is cropped at its centre to the aspect ratio of the smaller one
    and scaled to its size. Frames in sheet and animation have at most 512 pixels a side.
    """
    paths = prepare_frames(folder, count, force=force)
    from codec.image.load import load_rgb
    from codec.vae.latent_paths import interpolation

    with report_warnings(first, quiet=quiet):
        start = load_rgb(first)
    with report_warnings(second, quiet=quiet):
        end = load_rgb(second)
    with task_bar("frames", quiet=quiet) as progress:
        with report_warnings(f"{first}, {second}", quiet=quiet):
            frames = interpolation(
                start,
                end,
                count,
                spherical=spherical,
                quality=quality,
                threads=threads,
                progress=progress,
            )
        save_frames(paths, frames, force=force)
    if not quiet:
        say(f"{folder}: {count} frames, {SHEET} and {ANIMATION}")


@click.command("traverse", epilog=EXIT_CODES_HELP)
@click.argument("picture", metavar="IN")
@click.option(
    "--channel",
    type=click.IntRange(min=0),
    required=True,
    help="Channel in order of decreasing magnitude in the picture; 0 is the largest.",
)
@click.option(
    "--span",
    type=click.FloatRange(min=0, min_open=True),
    default=8.0,
    show_default=True,
    help="Largest change, in quantiser steps.",
)
@click.option("-n", "--count", type=click.IntRange(2, 1000), default=7, show_default=True, help="Frames.")
@_quality
@_output
@_force
@threads_option
@quiet_option
def traverse(
    picture: str,
    channel: int,
    span: float,
    count: int,
    quality: float,
    folder: Path,
    force: bool,
    threads: int | None,
    quiet: bool,
) -> None:
    """Vary one latent channel of a whole picture by -SPAN to +SPAN quantiser steps.

    Writes frames, a contact sheet and an animated WebP. Frames in sheet and animation have at most 512 pixels
    a side.
    """
    paths = prepare_frames(folder, count, force=force)
    from codec.image.load import load_rgb
    from codec.vae.latent_paths import traversal

    steps = [span * (2 * index / (count - 1) - 1) for index in range(count)]
    with report_warnings(picture, quiet=quiet):
        pixels = load_rgb(picture)
    with task_bar("frames", quiet=quiet) as progress:
        frames = traversal(pixels, channel, steps, quality=quality, threads=threads, progress=progress)
        save_frames(paths, frames, force=force)
    if not quiet:
        say(f"{folder}: {count} frames, {SHEET} and {ANIMATION}")


@click.command("impute", epilog=EXIT_CODES_HELP)
@click.argument("picture", metavar="IN")
@click.option("--mask", metavar="MASK", required=True, help="Picture of the same size; white is missing.")
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
    help="Results: OUT, OUT_1, OUT_2, ...",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, 10),
    default=1.0,
    show_default=True,
    help="Factor on the noise of further results.",
)
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
    """Fill in the white part of a mask; all other pixels are kept exactly. OUT is a PNG.

    The first result is the most probable one, further ones are random samples. A large hole is filled with a
    smooth continuation of its surroundings.
    """
    if output.suffix.lower() != ".png":
        raise UsageError(f"{output}: pixels are kept exactly, so OUT must end in .png")
    outputs = [output, *(output.with_stem(f"{output.stem}_{i}") for i in range(1, samples))]
    for path in outputs:
        if path.resolve() in (Path(picture).resolve(), Path(mask).resolve()):
            raise UsageError(f"{path}: input and output are the same file; choose another with -o")
        check_writable(path, overwrite=force)
    need_torch("filling in")
    from codec.image.load import load_rgb
    from codec.vae.imputation import impute as fill

    with report_warnings(picture, quiet=quiet):
        pixels = load_rgb(picture)
    with report_warnings(mask, quiet=quiet):
        missing = load_rgb(mask).mean(2) >= 128
    with task_bar("blocks", quiet=quiet) as progress:
        filled = fill(pixels, missing, samples=samples, seed=seed, temperature=temperature, progress=progress)
    for path, result in zip(outputs, filled, strict=True):
        save_png(path, result, force=force)
    if not quiet:
        say(f"{picture} -> {output}: {int(missing.sum())} pixels filled in")
