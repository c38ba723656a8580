"""`vaezip train`: the commands run, export, graphs, calibrate and vae."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from codec.bitstream.rate_index import RATE_POINTS
from codec.inference.backends import need_torch

# What click decorates: a function or a command.
FC = TypeVar("FC", bound=Callable[..., Any])


def _share(name: str, meaning: str) -> Callable[[FC], FC]:
    """Return an option for a share from 0 to 1, by default 0."""
    return click.option(name, type=click.FloatRange(0, 1), default=0.0, show_default=True, help=meaning)


@click.group()
def train() -> None:
    """Train a model on a folder of pictures and export its weights."""
    need_torch("training")


@train.command()
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of pictures.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the run; an interrupted run in it is resumed.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Wall-clock time of the whole run.",
)
@click.option(
    "--steps", type=click.IntRange(min=0), default=0, help="Stop after this many steps, whatever the time."
)
@click.option(
    "--procs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of ranks: one for each core or GPU.",
)
@click.option(
    "--batch",
    type=int,
    default=RATE_POINTS,
    show_default=True,
    help=f"Crops per step and rank, a multiple of {RATE_POINTS}.",
)
@click.option("--crop", type=int, default=192, show_default=True, help="Side of the crops in pixels.")
@click.option(
    "--final-crop", type=int, default=256, show_default=True, help="Side of the crops during the decay."
)
@click.option(
    "--lr",
    "learning_rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1.5e-3,
    show_default=True,
    help="Learning rate.",
)
@click.option(
    "--linear-share",
    type=click.FloatRange(min=0),
    default=0.1,
    show_default=True,
    help="Learning rate of the linear path, as a share of --lr.",
)
@click.option(
    "--ema",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.999,
    show_default=True,
    help="Decay of the weight average.",
)
@_share("--luma-share", "Share of the distortion that is squared error of luma.")
@_share("--structure-share", "Share of the distortion that is 1 - MS-SSIM of luma.")
@_share("--perceptual-share", "Share of the distortion that is a perceptual error over scales in XYB.")
@_share("--drawn-share", "Share of crops with lines, text, flat shapes or noise drawn over them.")
@click.option(
    "--init",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Undecayed weights to continue from.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of all random numbers.")
@click.option("--model", "sizes", default="{}", help="Model sizes that differ from the defaults, as JSON.")
def run(images: Path, out: Path, procs: int, init: Path | None, sizes: str, **settings: float) -> None:
    """Train for a given time or number of steps, and resume an interrupted run."""
    from codec.train.settings import TrainOptions, launch

    try:
        model = json.loads(sizes)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--model") from error
    start = str(init.absolute()) if init else ""
    options = TrainOptions(str(images.absolute()), str(out.absolute()), init=start, model=model, **settings)  # type: ignore[arg-type]
    launch(options, procs)


@train.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to  [default: RUN/export]",
)
@click.option("--name", default="vaezip", show_default=True, help="Name of the model.")
@click.option(
    "--detail-pictures",
    type=click.IntRange(min=1),
    default=48,
    show_default=True,
    help="Number of pictures that the detail layer is fitted on.",
)
def export(run_folder: Path, out: Path | None, name: str, detail_pictures: int) -> None:
    """Write the weights of a run, the graphs for onnxruntime, and an index.

    Set VAEZIP_MODEL_DIR to the folder to make the codec use them.
    """
    from codec.train.export import export as write
    from codec.train.export import export_graphs

    folder = out or run_folder / "export"
    model_id = write(run_folder, folder, name, detail_pictures)
    export_graphs(folder)
    click.echo(f"{folder}: model {model_id}")


@train.command()
@click.argument("weights", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
def graphs(weights: Path) -> None:
    """Write the graphs for onnxruntime of the weights in DIR, as `export` does."""
    from codec.train.export import export_graphs

    click.echo(export_graphs(weights))


@train.command()
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of pictures to measure.",
)
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of exported weights.",
)
def calibrate(images: Path, weights: Path) -> None:
    """Calibrate -q so that quality Q gives the mean PSNR of WebP at quality Q on these pictures."""
    from codec.train.calibrate import calibrate as measure

    for quality, rate_index, decibel in measure(images, weights):
        click.echo(f"quality {quality:g}: rate index {rate_index}, {decibel:.2f} dB")


@train.command()
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, readable=False, path_type=Path),
    required=True,
    help="File to write.",
)
@click.option(
    "--images",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of small pictures.  [default: scikit-learn's digits]",
)
@click.option(
    "--side",
    type=click.IntRange(4, 64),
    default=16,
    show_default=True,
    help="Scale the pictures of --images to this many pixels a side.",
)
@click.option(
    "--latent", type=click.IntRange(1, 256), default=8, show_default=True, help="Dimensions of the latent."
)
@click.option(
    "--beta",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Weight of the KL divergence.",
)
@click.option(
    "--variance",
    type=click.FloatRange(min=0, min_open=True),
    default=0.02,
    show_default=True,
    help="Variance of p(x | z), with samples in 0..1.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), default=150, show_default=True, help="Passes over the pictures."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of all random numbers."
)
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing file.")
def vae(output: Path, images: Path | None, side: int, force: bool, **settings: float) -> None:
    """Train a small classical VAE on gray pictures and save it as safetensors."""
    from codec.errors import TrainingError
    from codec.io.files import check_writable, write_atomic
    from codec.train.classical_trainer import digits, gray_pictures, train_classical

    check_writable(output, overwrite=force)
    try:
        pictures = digits() if images is None else gray_pictures(images, side)
    except ModuleNotFoundError as error:
        raise TrainingError(
            "the digits need scikit-learn; run: pip install 'vaezip[bench]', or give --images"
        ) from error
    with click.progressbar(length=int(settings["epochs"]), label="epochs", file=sys.stderr) as bar:
        model = train_classical(pictures, progress=lambda *_: bar.update(1), **settings)  # type: ignore[arg-type]
    write_atomic(output, model.to_bytes(), overwrite=force)
    click.echo(f"{output}: trained on {len(pictures)} pictures", err=True)
