"""`vaezip anomaly`: learn what is normal, and score pictures against it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from codec.cli.folders import prepare, save_png
from codec.cli.jobs import STANDARD, Job, run
from codec.cli.options import quiet_option, threads_option
from codec.cli.progress import task_bar
from codec.cli.report import EXIT_CODES_HELP, printable, say, telling
from codec.errors import UsageError
from codec.files import check_writable, write_atomic
from codec.storage.pictures import pictures_below


@click.group()
def anomaly() -> None:
    """Find what is unlike normal pictures of one kind."""


@anomaly.command(epilog=EXIT_CODES_HELP)
@click.argument("folder", metavar="NORMAL_DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, readable=False, path_type=Path),
    required=True,
)
@click.option(
    "--fpr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Share of normal pictures that may be called anomalous.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite the file.")
@threads_option
@quiet_option
def fit(folder: Path, output: Path, fpr: float, force: bool, threads: int | None, quiet: bool) -> None:
    """Learn from a folder of normal pictures, all of one kind and one scale."""
    check_writable(output, overwrite=force)
    pictures = pictures_below(folder)
    if not pictures:
        raise UsageError(f"{folder}: no pictures found; give a folder with files such as .png or .jpg")
    from codec.vae.anomaly import AnomalyModel

    with task_bar("pictures", quiet=quiet) as progress, telling(str(folder), quiet=quiet):
        model = AnomalyModel.fit(pictures, false_positive_rate=fpr, threads=threads, progress=progress)
    write_atomic(output, model.to_json().encode(), overwrite=force)
    if not quiet:
        say(f"{output}: learnt from {len(pictures)} pictures, threshold {model.threshold:.3f}")


@anomaly.command(epilog=EXIT_CODES_HELP)
@click.argument("pictures", metavar="IMG...", nargs=-1, required=True)
@click.option(
    "--model", "model_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True
)
@click.option(
    "--heatmap", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Folder for overlays."
)
@click.option("-f", "--force", is_flag=True, help="Overwrite heat maps.")
def score(pictures: tuple[str, ...], model_file: Path, heatmap: Path | None, force: bool) -> int:
    """Score pictures: one JSON object each, a line each, on standard output."""
    from codec.image.convert import load_rgb
    from codec.vae.anomaly import AnomalyModel, heat_map

    try:
        model = AnomalyModel.from_json(model_file.read_text(encoding="utf-8"))
    except (UsageError, UnicodeDecodeError) as error:
        raise UsageError(f"{model_file}: {error}") from error

    def work(job: Job) -> None:
        # Asked for before any time is spent.
        names = [f"{Path(job.source).stem}.png"] if heatmap is not None else []
        paths = prepare(heatmap, names, force=force) if heatmap is not None else []
        with telling(job.source_name):
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
