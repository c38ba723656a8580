"""Draw rate-distortion plots (PNG, SVG) and compute BD-rates, also against published curves."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codec.bench.codecs import CODECS
from codec.bench.curves import (
    METRIC_LABELS,
    BdRate,
    Curve,
    Figure,
    bd_rate,
    complete_pictures,
    decibel,
    matplotlib,
    mean_bd_rate,
    mean_curve,
    rising,
)
from codec.bench.results import Results
from codec.datasets import DATA_SETS
from codec.errors import BenchmarkError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS = "vaezip"
MINUS = "\N{MINUS SIGN}"
# Right end of the plots.
MAX_BPP = 2.0
# Colour and marker of each codec, based on the palette of Okabe and Ito for colour-blind readers.
_STYLES = {
    "vaezip": ("#000000", "o"),
    "jpeg": ("#d55e00", "s"),
    "jpeg-444": ("#f0a35e", "D"),
    "webp": ("#0072b2", "^"),
    "avif": ("#009e73", "v"),
    "avif-444": ("#7ac9a8", "P"),
    "jxl": ("#cc79a7", "X"),
    "jp2": ("#b8860b", "*"),
    "avif-slow": ("#56b4e9", "P"),
    "jxl-slow": ("#882255", "X"),
}
_PUBLISHED_COLOURS = ("#7f7f7f", "#a65628", "#6a3d9a", "#1b7837", "#4d4d4d", "#1f78b4")


@dataclass(frozen=True)
class Published:
    """Published results of a codec: its name, a description, their source, and a curve for each metric."""

    name: str
    what: str
    source: str
    curves: dict[str, Curve]


def load_published(path: Path, results: Results) -> list[Published]:
    """Read a file of published points on the pictures of the results.

    Raises OSError, and BenchmarkError for an invalid file or for results on other pictures.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        rows, name = stored["rows"], stored["data_set"]
        if set(results.pictures) != set(DATA_SETS[name].sha256().values()):
            raise BenchmarkError(
                f"{path}: has points of all pictures of {name}, but the results are of others"
            )
        return [Published(row["name"], row["what"], row["source"], _curves(row)) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: not a file of published points ({error!r}); name another") from error


def _curves(row: dict[str, list[float]]) -> dict[str, Curve]:
    curves = {"psnr_rgb": rising(row["bpp"], row["psnr_rgb"])}
    if "ms_ssim" in row:
        curves["ms_ssim"] = rising(row["bpp"], [decibel(value) for value in row["ms_ssim"]])
    return curves


@dataclass(frozen=True)
class Row:
    """The comparison of vaezip with one codec.

    of_mean: BD-rate of the mean curves by metric. mean_of: mean of the BD-rates of the pictures by metric;
    empty for published curves, which are means.
    """

    name: str
    label: str
    settings: str
    of_mean: dict[str, BdRate]
    mean_of: dict[str, BdRate]
    published: bool = False


def metrics_of(results: Results) -> list[str]:
    """Return the names of the metrics of vaezip's points, in the order of METRIC_LABELS."""
    found = {name for key, point in results.points.items() if key[0] == OURS for name in point.metrics}
    return [name for name in METRIC_LABELS if name in found]


def in_order(results: Results) -> list[str]:
    """Return the names of the codecs in the results, in the order of CODECS; others last."""
    order = [row.name for row in CODECS]
    return sorted(results.codecs, key=lambda name: order.index(name) if name in order else len(order))


def curves(results: Results, metric: str) -> dict[str, Curve]:
    """Return the mean curves, over the same pictures, of all codecs that have the metric."""
    names = [name for name in in_order(results) if complete_pictures(results, [name], metric)]
    pictures = complete_pictures(results, names, metric)
    found = {name: mean_curve(results, name, metric, pictures) for name in names}
    return {name: curve for name, curve in found.items() if len(curve.bpp)}


def compare(results: Results, published: Sequence[Published] = ()) -> list[Row]:
    """Compare vaezip with every other codec of the results, measured ones first."""
    metrics = metrics_of(results)
    rows = []
    for name in in_order(results):
        if name == OURS:
            continue
        facts = results.codecs[name]
        of_mean, mean_of = {}, {}
        for metric in metrics:
            pictures = complete_pictures(results, [OURS, name], metric)
            if not pictures:
                continue
            pair = (mean_curve(results, codec, metric, pictures) for codec in (name, OURS))
            of_mean[metric] = bd_rate(*pair)
            mean_of[metric] = mean_bd_rate(results, name, OURS, metric, pictures)
        if of_mean:
            rows.append(Row(name, facts.label, facts.settings, of_mean, mean_of))
    for other in published:
        shared = [metric for metric in metrics if metric in other.curves]
        ours = {metric: curves(results, metric).get(OURS) for metric in shared}
        of_mean = {
            metric: bd_rate(other.curves[metric], curve)
            for metric, curve in ours.items()
            if curve is not None
        }
        rows.append(Row(other.name, other.name, other.source, of_mean, {}, published=True))
    return rows


def percent(rate: BdRate | None) -> str:
    """Format a BD-rate, such as `-12.3 %`; `no overlap` if it is undefined, empty if there is none."""
    if rate is None:
        return ""
    return "no overlap" if rate.percent is None else f"{rate.percent:+.1f} %".replace("-", MINUS)


def overlap(rate: BdRate | None, unit: str) -> str:
    """Format the range of a BD-rate and its share, such as `25.1 to 40.2 dB (80%)`; empty if undefined."""
    if rate is None or rate.percent is None:
        return ""
    return f"{rate.low:.1f} to {rate.high:.1f}{unit and ' ' + unit} ({rate.share:.0%})"


def draw(results: Results, metric: str, published: Sequence[Published] = ()) -> Figure:
    """Draw the mean curves of all codecs in one metric, published ones dashed."""
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    axes = figure.subplots()
    found = curves(results, metric)
    lowest: list[float] = []
    highest: list[float] = []
    for name in sorted(found, key=lambda name: name == OURS):
        curve = found[name]
        colour, marker = _STYLES.get(name, ("#999999", "."))
        width, size, opacity = (2.6, 5, 1.0) if name == OURS else (1.3, 4, 0.85)
        axes.plot(
            curve.bpp,
            curve.value,
            color=colour,
            marker=marker,
            markersize=size,
            linewidth=width,
            alpha=opacity,
            label=results.codecs[name].label,
        )
        shown = curve.value[curve.bpp <= MAX_BPP]
        lowest.extend(shown[:1])
        highest.extend(shown[-1:])
    for place, other in enumerate(other for other in published if metric in other.curves):
        curve = other.curves[metric]
        colour = _PUBLISHED_COLOURS[place % len(_PUBLISHED_COLOURS)]
        axes.plot(curve.bpp, curve.value, "--", color=colour, linewidth=1, label=f"{other.name} (published)")
    _label(axes, metric)
    if lowest:
        margin = 0.04 * (max(highest) - min(lowest)) + 0.1
        axes.set_ylim(min(lowest) - margin, max(highest) + margin)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: (labels[i] != OURS, "(published)" in labels[i]))
    axes.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="lower right", fontsize=8, ncols=2
    )
    return figure


def _label(axes: Axes, metric: str) -> None:
    name, unit = METRIC_LABELS[metric]
    axes.set_xlim(0, MAX_BPP)
    axes.set_xlabel("bits per pixel, whole files")
    axes.set_ylabel(f"{name} in {unit}" if unit else name)
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def png(figure: Figure) -> bytes:
    """Return a figure as PNG, without the version of matplotlib, which would change the bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return stream.getvalue()


def svg(figure: Figure, salt: str) -> str:
    """Return a figure as SVG with text as text. salt: makes ids unique among the figures of a page."""
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()
