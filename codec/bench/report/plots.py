"""Curves as pictures: PNG for the documentation, SVG for the page. The same results give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from codec.bench.curves import METRIC_LABELS
from codec.bench.matplotlib_library import Figure, matplotlib
from codec.bench.report.published import Published
from codec.bench.report.tables import OURS, curves
from codec.bench.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_BPP = 2.0
# Colour and marker of each codec, told apart by colour-blind readers too (Okabe and Ito's palette).
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


def draw(results: Results, metric: str, published: Sequence[Published] = ()) -> Figure:
    """Mean curves of all codecs in one metric, published ones dashed."""
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
    """Return a figure as PNG, without the version of the library, which would change the bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return stream.getvalue()


def svg(figure: Figure, salt: str) -> str:
    """Return a figure as SVG with real text; `salt` keeps the ids of figures on one page apart."""
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()
