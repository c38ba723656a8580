"""`vaezip elbo`: what pictures weigh by the model."""

from __future__ import annotations

import json

import click

from codec.cli.jobs import STANDARD, Job, read_input, run
from codec.cli.options import refuse_nan, threads_option
from codec.cli.progress import progress_bar
from codec.cli.report import EXIT_CODES_HELP, printable, telling


@click.command("elbo", epilog=EXIT_CODES_HELP)
@click.argument("pictures", metavar="IN...", nargs=-1, required=True)
@click.option(
    "--beta",
    type=click.FloatRange(min=0, min_open=True),
    callback=lambda c, p, v: v if v is None else refuse_nan(c, p, v),
    metavar="B",
    help="Weight of the rate beside squared error: 1 / lmbda.  [default: that of the quality]",
)
@click.option(
    "-q",
    "--quality",
    type=click.FloatRange(0, 100),
    callback=lambda c, p, v: v if v is None else refuse_nan(c, p, v),
    metavar="Q",
    help="Whose latents to weigh.  [default: the quality trained for B, or 75]",
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
    """Show the negative evidence lower bound of pictures in bits per pixel, part by part.

    rate z and rate y are -log2 of the latents' probabilities, distortion and norm are those of a Gaussian
    around the decoded picture over samples in 0..1.
    """

    def work(job: Job) -> None:
        from codec.image.convert import load_rgb
        from codec.vae.evidence import elbo as weigh

        source = read_input(job.source) if job.source == STANDARD else job.source
        with telling(job.source_name, quiet=quiet):
            pixels = load_rgb(source)
        with progress_bar(job.source_name, pixels.shape[0] * pixels.shape[1], quiet=quiet) as progress:
            found = weigh(pixels, beta=beta, quality=quality, threads=threads, progress=progress)
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
