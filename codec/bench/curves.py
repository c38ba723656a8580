"""Rate-distortion curves and BD-rate.

At import, matplotlib creates a folder for settings and stores a list of fonts in the user's cache. This
module therefore loads it with a temporary folder, unless the user has set MPLCONFIGDIR or it is already
loaded. Plots then do not depend on the user's settings either. bjontegaard imports matplotlib, so it is
loaded afterwards.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.bench.results import Results

_FOLDER = "MPLCONFIGDIR"

if _FOLDER not in os.environ and "matplotlib" not in sys.modules:
    with tempfile.TemporaryDirectory(prefix="vaezip-") as folder:
        os.environ[_FOLDER] = folder
        try:
            import matplotlib.font_manager
        finally:
            del os.environ[_FOLDER]

import bjontegaard  # noqa: E402
import matplotlib  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

# Names from matplotlib are exported for plots.py, so that they are always loaded as above.
__all__ = ["BdRate", "Curve", "Figure", "bjontegaard", "matplotlib"]

# Name and unit of each metric, on the scale of curves.
METRIC_LABELS = {
    "psnr_rgb": ("PSNR RGB", "dB"),
    "psnr_y": ("PSNR Y", "dB"),
    "ms_ssim": ("MS-SSIM", "dB"),
    "ssimulacra2": ("SSIMULACRA2", ""),
}
# Least number of points of a curve for BD-rate, as in Bjontegaard's definition.
MIN_POINTS = 4


@dataclass(frozen=True)
class Curve:
    """A rate-distortion curve: bpp and a metric, both float64 [points] and strictly increasing.

    MS-SSIM is in decibel, -10 log10(1 - MS-SSIM), as in the literature.
    """

    bpp: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class BdRate:
    """Mean change in rate at equal quality relative to an anchor.

    percent: negative means fewer bits; None if undefined. low, high: the range of the metric that both curves
    cover, over which it is averaged. share: that range relative to the range that either covers. pictures:
    number of pictures averaged; 0 for the BD-rate of mean curves.
    """

    percent: float | None
    low: float
    high: float
    share: float
    pictures: int = 0


def decibel(ms_ssim: float) -> float:
    """Return MS-SSIM in decibel, at most 60, the limit of the six decimals stored."""
    return -10 * math.log10(max(1 - ms_ssim, 1e-6))


def rising(bpp: list[float], value: list[float]) -> Curve:
    """Return the curve of points sorted by rate, without those of higher rate but no higher value."""
    kept: list[tuple[float, float]] = []
    for point in sorted(zip(bpp, value, strict=True), key=lambda point: (point[0], -point[1])):
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    columns = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return Curve(columns[:, 0], columns[:, 1])


def complete_pictures(results: Results, codecs: list[str], metric: str) -> list[str]:
    """Return the SHA-256 of the pictures for which all these codecs have the metric at all qualities."""
    qualities = {name: {key[1] for key in results.points if key[0] == name} for name in codecs}

    def has_all(sha256: str) -> bool:
        points = (results.points.get((name, q, sha256)) for name in codecs for q in qualities[name])
        return all(point is not None and point.metrics.get(metric) is not None for point in points)

    return [sha256 for sha256 in results.pictures if has_all(sha256)]


def mean_curve(results: Results, codec: str, metric: str, pictures: list[str]) -> Curve:
    """Return the curve of mean bpp and mean metric over pictures, with a point for each quality."""
    bpp, value = [], []
    for quality in sorted({key[1] for key in results.points if key[0] == codec}):
        keys = [(codec, quality, sha256) for sha256 in pictures]
        values = [results.points[key].metrics[metric] for key in keys]
        if not keys or None in values:
            continue
        bpp.append(float(np.mean([results.bpp(key) for key in keys])))
        mean = float(np.mean([v for v in values if v is not None]))
        value.append(decibel(mean) if metric == "ms_ssim" else mean)
    return rising(bpp, value)


def bd_rate(anchor: Curve, test: Curve) -> BdRate:
    """Return the BD-rate of `test` relative to `anchor`, by piecewise cubic interpolation.

    Its percent is None if the ranges do not overlap or a curve has fewer than MIN_POINTS points.
    """
    if min(len(anchor.bpp), len(test.bpp)) < MIN_POINTS:
        return BdRate(None, math.nan, math.nan, 0.0)
    low = float(max(anchor.value[0], test.value[0]))
    high = float(min(anchor.value[-1], test.value[-1]))
    share = (high - low) / float(max(anchor.value[-1], test.value[-1]) - min(anchor.value[0], test.value[0]))
    if share <= 0:
        return BdRate(None, low, high, 0.0)

    percent = bjontegaard.bd_rate(
        anchor.bpp,
        anchor.value,
        test.bpp,
        test.value,
        method="pchip",
        require_matching_points=False,
        min_overlap=0,
    )
    return BdRate(float(percent), low, high, share)


def mean_bd_rate(results: Results, anchor: str, test: str, metric: str, pictures: list[str]) -> BdRate:
    """Return the mean of the BD-rates of single pictures, over those for which it is defined."""
    rates = []
    for sha256 in pictures:
        rate = bd_rate(*(mean_curve(results, name, metric, [sha256]) for name in (anchor, test)))
        if rate.percent is not None:
            rates.append((rate.percent, rate.low, rate.high, rate.share))
    if not rates:
        return BdRate(None, math.nan, math.nan, 0.0)
    percent, low, high, share = np.mean(rates, axis=0).tolist()
    return BdRate(percent, low, high, share, len(rates))
