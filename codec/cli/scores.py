"""`vaezip elbo` and `vaezip anomaly`: scores of pictures under the model."""

from __future__ import annotations

import json
from pathlib import Path

import click

from codec.cli.jobs import STANDARD, Job, read_input, run
from codec.cli.output_formats import prepare, save_png
from codec.cli.parameters import quiet_option, refuse_nan, threads_option
from codec.cli.progress import progress_bar, task_bar
from codec.cli.report import EXIT_CODES_HELP, printable, report_warnings, say
from codec.errors import UsageError
from codec.io.files import check_writable, write_atomic
from codec.io.mapping import pictures_below


@click.command("elbo", epilog=EXIT_CODES_HELP)
@click.argument("pictures", metavar="IN...", nargs=-1, required=True)
@click.option(
    "--beta",
    type=click.FloatRange(min=0, min_open=True),
    callback=lambda c, p, v: v if v is None else refuse_nan(c, p, v),
    metavar="B",
    help="Weight of the rate relative to squared error: 1 / lmbda.  [default: that of the quality]",
)
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    callback=lambda c, p, v: v if v is None else refuse_nan(c, p, v),
    metavar="Q",
    help="Quality at which the latents are quantised.  [default: the one trained for B, or 75]",
)
@click.option("--map", "with_map", is_flag=True, help="With --json, add rate and distortion by 16x16 cell.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per picture, a line each.")
@threads_option
@click.option("-Q", "--quiet", is_flag=True, help="Show no progress.")
def elbo(
    pictures: tuple[str, ...],
    beta: float | None,
    quality: float | None,
    with_map: bool,
    as_json: bool,
    threads: int | None,
    quiet: bool,
) -> int:
    """Compute the negative evidence lower bound of pictures and its parts, in bits per pixel.

    rate z and rate y are -log2 of the probabilities of hyper-latent and latent. distortion and norm are the
    two terms of -log2 of a Gaussian density around the decoded picture, for samples in 0..1.
    """

    def work(job: Job) -> None:
        from codec.image.load import load_rgb
        from codec.vae.evidence import elbo as compute_elbo

        source = read_input(job.source) if job.source == STANDARD else job.source
        with report_warnings(job.source_name, quiet=quiet):
            pixels = load_rgb(source)
        with progress_bar(job.source_name, pixels.shape[0] * pixels.shape[1], quiet=quiet) as progress:
            found = compute_elbo(pixels, beta=beta, quality=quality, threads=threads, progress=progress)
        parts = {
            "rate_z": found.rate_z,
            "rate_y": found.rate_y,
            "distortion": found.distortion,
            "norm": found.norm,
            "negative_elbo": found.negative_elbo,
        }
        if as_json:
            record = {
                "file": job.source,
                "beta": found.beta,
                "rate_index": found.rate_index,
                "mse": found.mse,
                **parts,
            }
            if with_map:
                record["map"] = [[round(v, 4) for v in row] for row in found.cells().tolist()]
            print(json.dumps(record))
            return
        print(printable(job.source_name))
        for name, value in parts.items():
            print(f"  {name.replace('_', ' ')}: {value:.4f} bpp")
        print(f"  beta: {found.beta:g}")

    return run([Job(source, STANDARD) for source in pictures], work)


@click.group()
def anomaly() -> None:
    """Find pictures that differ from normal pictures of one kind."""


@anomaly.command(epilog=EXIT_CODES_HELP)
@click.argument("folder", metavar="NORMAL_DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, readable=False, path_type=Path),
    required=True,
    help="File for the model, JSON.",
)
@click.option(
    "--fpr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="False positive rate: share of normal pictures above the threshold.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite the file.")
@threads_option
@quiet_option
def fit(folder: Path, output: Path, fpr: float, force: bool, threads: int | None, quiet: bool) -> None:
    """Fit a model to a folder of normal pictures, all of one kind and one scale."""
    check_writable(output, overwrite=force)
    pictures = pictures_below(folder)
    if not pictures:
        raise UsageError(f"{folder}: no pictures found; give a folder with files such as .png or .jpg")
    from codec.vae.anomaly_detection import AnomalyModel

    with task_bar("pictures", quiet=quiet) as progress, report_warnings(str(folder), quiet=quiet):
        model = AnomalyModel.fit(pictures, false_positive_rate=fpr, threads=threads, progress=progress)
    write_atomic(output, model.to_json().encode(), overwrite=force)
    if not quiet:
        say(f"{output}: fitted to {len(pictures)} pictures, threshold {model.threshold:.3f}")


@anomaly.command(epilog=EXIT_CODES_HELP)
@click.argument("pictures", metavar="IMG...", nargs=-1, required=True)
@click.option(
    "--model",
    "model_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Model from `vaezip anomaly fit`.",
)
@click.option(
    "--heatmap",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for heat maps, drawn over the pictures.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite heat maps.")
def score(pictures: tuple[str, ...], model_file: Path, heatmap: Path | None, force: bool) -> int:
    """Score pictures; print one JSON object per picture, a line each."""
    from codec.image.load import load_rgb
    from codec.vae.anomaly_detection import AnomalyModel, heat_map

    try:
        model = AnomalyModel.from_json(model_file.read_text(encoding="utf-8"))
    except (UsageError, UnicodeDecodeError) as error:
        raise UsageError(f"{model_file}: {error}") from error

    def work(job: Job) -> None:
        # Refuse an output that cannot be written before the picture is scored.
        names = [f"{Path(job.source).stem}.png"] if heatmap is not None else []
        paths = prepare(heatmap, names, force=force) if heatmap is not None else []
        with report_warnings(job.source_name):
            pixels = load_rgb(job.source)
        found = model.score(pixels)
        record = {
            "file": printable(job.source),
            "score": round(found.value, 4),
            "threshold": round(model.threshold, 4),
            "anomalous": found.anomalous,
        }
        for path in paths:
            save_png(path, heat_map(pixels, found.cells), force=force)
            record["heatmap"] = str(path)
        print(json.dumps(record))

    return run([Job(source, STANDARD) for source in pictures], work)
