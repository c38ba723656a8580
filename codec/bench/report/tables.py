"""The table of BD-rates: how many bits vaezip needs beside each other codec at equal quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codec.bench.codecs import CODECS
from codec.bench.curves import (
    METRIC_LABELS,
    BdRate,
    Curve,
    bd_rate,
    complete_pictures,
    mean_bd_rate,
    mean_curve,
)
from codec.bench.report.published import Published
from codec.bench.results import Results

OURS = "vaezip"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Row:
    """One codec to compare with; by metric, the BD-rate of the mean curves and the mean of the pictures' own.

    The latter is None for published curves, which have no pictures.
    """

    name: str
    label: str
    settings: str
    of_mean: dict[str, BdRate]
    mean_of: dict[str, BdRate]
    published: bool = False


def metrics_of(results: Results) -> list[str]:
    """Names of the metrics that vaezip's points have, in the order of METRIC_LABELS."""
    found = {name for key, point in results.points.items() if key[0] == OURS for name in point.metrics}
    return [name for name in METRIC_LABELS if name in found]


def in_order(results: Results) -> list[str]:
    """Names of the codecs of the results, in the order of the table of codecs; others last."""
    order = [row.name for row in CODECS]
    return sorted(results.codecs, key=lambda name: order.index(name) if name in order else len(order))


def curves(results: Results, metric: str) -> dict[str, Curve]:
    """Mean curve of every codec that has the metric, all over the same pictures."""
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
    """A BD-rate as people read it: `-12.3 %`, or why there is none."""
    if rate is None:
        return ""
    return "no overlap" if rate.percent is None else f"{rate.percent:+.1f} %".replace("-", MINUS)


def overlap(rate: BdRate | None, unit: str) -> str:
    """The range that a BD-rate is averaged over."""
    if rate is None or rate.percent is None:
        return ""
    return f"{rate.low:.1f} to {rate.high:.1f}{unit and ' ' + unit} ({rate.share:.0%})"
