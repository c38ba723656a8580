"""The report: one HTML file that needs no network, with curves, tables, pictures and facts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from codec.bench.curves import METRIC_LABELS
from codec.bench.report import plots
from codec.bench.report.published import Published, load_published
from codec.bench.report.side_by_side import SideBySide, choose
from codec.bench.report.tables import OURS, Row, compare, in_order, metrics_of, overlap, percent
from codec.bench.results import Results, load_results
from codec.errors import BenchmarkError
from codec.files import write_atomic

MAX_PAGE_BYTES = 8_000_000
# Room for everything but curves and pictures.
PAGE_TEXT_BYTES = 200_000


def write_report(
    results_file: Path,
    folder: Path,
    pictures: Sequence[Path] = (),
    notes: Sequence[str] = (),
    published_file: Path | None = None,
) -> tuple[Path, list[str]]:
    """Write plots (PNG and SVG) and the page into a folder; return the page and the pictures left out.

    pictures: to show side by side. notes: lines about them, such as licences.
    Raises OSError, BenchmarkError for results without vaezip or for files of another kind.
    """
    results = load_results(results_file)
    if OURS not in results.codecs:
        raise BenchmarkError(f"{results_file}: has no points of {OURS}; run it first")
    published = load_published(published_file, results) if published_file else []
    folder.mkdir(parents=True, exist_ok=True)
    drawings = {}
    for metric in metrics_of(results):
        figure = plots.draw(results, metric, published)
        drawings[metric] = plots.svg(figure, metric)
        write_atomic(folder / f"rd_{metric}.png", plots.png(figure), overwrite=True)
        write_atomic(folder / f"rd_{metric}.svg", drawings[metric].encode(), overwrite=True)
    budget = MAX_PAGE_BYTES - PAGE_TEXT_BYTES - sum(len(svg.encode()) for svg in drawings.values())
    pairs, left_out = choose(pictures, budget)
    text = render(results, compare(results, published), drawings, pairs, published, notes)
    write_atomic(folder / "report.html", text.encode(), overwrite=True)
    return folder / "report.html", left_out


def render(
    results: Results,
    rows: Sequence[Row],
    drawings: dict[str, str],
    pairs: Sequence[SideBySide],
    published: Sequence[Published] = (),
    notes: Sequence[str] = (),
) -> str:
    """Return the page. drawings: SVG by metric, trusted; all other text is escaped."""
    environment = Environment(
        loader=PackageLoader("codec.bench", "report"), autoescape=True, undefined=StrictUndefined
    )
    count = len(results.pictures)
    return environment.get_template("page.html").render(
        title=f"vaezip beside other codecs on {count} picture{'' if count == 1 else 's'}",
        lead=_lead(rows),
        results=results,
        pictures=list(results.pictures.values()),
        codecs=[results.codecs[name] for name in in_order(results)],
        metrics=metrics_of(results),
        rows=rows,
        # What stands before the <svg> element belongs to a file of its own, not to a page.
        drawings={metric: Markup(svg[svg.index("<svg") :]) for metric, svg in drawings.items()},  # noqa: S704
        pairs=pairs,
        published=published,
        notes=notes,
        labels=METRIC_LABELS,
        percent=percent,
        overlap=overlap,
        uri=_data_uri,
    )


def _lead(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Codec, percent and `more` or `fewer`: the two comparisons that most readers come for."""
    found = []
    for row in rows:
        rate = row.of_mean.get("psnr_rgb")
        if row.name in ("jpeg", "webp") and rate is not None and rate.percent is not None:
            found.append((row.label, f"{abs(rate.percent):.1f}", "more" if rate.percent > 0 else "fewer"))
    return found


def _data_uri(data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
