"""`vaezip sample`, `interpolate` and `traverse`: pictures out of latent space, into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from codec.cli.folders import contact_sheet, prepare, save_animation, save_png
from codec.cli.options import quality_option, quiet_option, threads_option
from codec.cli.progress import task_bar
from codec.cli.report import EXIT_CODES_HELP, say
from codec.model.inference.runner import need_torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_FOLDER = click.Path(file_okay=False, path_type=Path)
SHEET, ANIMATION = "sheet.png", "animation.webp"

_output = click.option("-o", "--output", "folder", metavar="DIR", type=_FOLDER, required=True, help="Folder.")
_force = click.option("-f", "--force", is_flag=True, help="Overwrite files.")
_quality = quality_option("Rate of the latents, 0 to 100.")


@click.command("sample", epilog=EXIT_CODES_HELP)
@click.option("-n", "--count", type=click.IntRange(1, 10_000), default=16, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--side", type=click.IntRange(64, 512), default=128, show_default=True, help="Multiple of 64.")
@click.option("--temperature", type=click.FloatRange(0, 10), default=1.0, show_default=True, help="For y.")
@click.option("--temperature-z", type=click.FloatRange(0, 10), help="For z.  [default: as for y]")
@click.option(
    "--model",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A classical VAE to draw from instead, made by `vaezip train vae`.",
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
    """Draw new pictures from the model, and a contact sheet of them.

    The same seed gives the same pictures. The codec's prior knows textures, not scenes; a classical VAE draws
    what it was trained on.
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
@click.option("-n", "--count", type=click.IntRange(2, 1000), default=9, show_default=True)
@click.option("--spherical", is_flag=True, help="Along the great arc instead of the straight line.")
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
    """Go from picture A to picture B in latent space: frames, a contact sheet and an animated WebP.

    Both must be of one size, at most 512 pixels a side.
    """
    paths = _prepare_frames(folder, count, force=force)
    from codec.vae import interpolate as walk

    with task_bar("frames", quiet=quiet) as progress:
        frames = walk(
            first, second, count, spherical=spherical, quality=quality, threads=threads, progress=progress
        )
    _save_frames(paths, frames, folder, force=force, quiet=quiet)


@click.command("traverse", epilog=EXIT_CODES_HELP)
@click.argument("picture", metavar="IN")
@click.option("--channel", type=click.IntRange(min=0), required=True, help="0 is the picture's heaviest.")
@click.option("--span", type=click.FloatRange(min=0, min_open=True), default=8.0, show_default=True)
@click.option("-n", "--count", type=click.IntRange(2, 1000), default=7, show_default=True)
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
    """Change one latent channel of a picture everywhere, from -SPAN to +SPAN quantiser steps."""
    paths = _prepare_frames(folder, count, force=force)
    from codec.vae import traverse as walk

    steps = [span * (2 * index / (count - 1) - 1) for index in range(count)]
    with task_bar("frames", quiet=quiet) as progress:
        frames = walk(picture, channel, steps, quality=quality, threads=threads, progress=progress)
    _save_frames(paths, frames, folder, force=force, quiet=quiet)


def _prepare_frames(folder: Path, count: int, *, force: bool) -> list[Path]:
    """Return where the frames go, then the contact sheet and the animation; refuse to go on without torch."""
    need_torch("walking through latent space")
    names = [f"frame_{index:03d}.png" for index in range(count)]
    return prepare(folder, [*names, SHEET, ANIMATION], force=force)


def _save_frames(
    paths: list[Path], frames: Sequence[NDArray[np.uint8]], folder: Path, *, force: bool, quiet: bool
) -> None:
    """Write frames, their contact sheet and their animation to the places that _prepare_frames gave."""
    *singles, sheet, animation = paths
    for path, pixels in zip(singles, frames, strict=True):
        save_png(path, pixels, force=force)
    save_png(sheet, contact_sheet(frames, min(len(frames), 9)), force=force)
    save_animation(animation, frames, force=force)
    if not quiet:
        say(f"{folder}: {len(frames)} frames, {SHEET} and {ANIMATION}")
