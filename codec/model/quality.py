"""The user's quality (0..100) and the model's rate index (0..2560). Never imports torch or numpy."""

from __future__ import annotations

import bisect
import itertools
import math

from codec.errors import UsageError

from .index import ModelEntry

LOWEST, HIGHEST = 0.0, 100.0


def check_quality(quality: float) -> None:
    """Raise UsageError unless a quality is a number from 0 to 100."""
    if isinstance(quality, bool) or not isinstance(quality, int | float) or not math.isfinite(quality):
        raise UsageError(f"quality must be a number from 0 to 100, not {quality!r}", field="quality")
    if not LOWEST <= quality <= HIGHEST:
        raise UsageError(f"quality must be from 0 to 100, not {quality:g}", field="quality")


def to_rate_index(quality: float, entry: ModelEntry) -> int:
    """Rate index of a quality, along the model's calibration; constant beyond its ends. Raises UsageError."""
    check_quality(quality)
    points = entry.calibration
    if quality <= points[0][0]:
        return points[0][1]
    if quality >= points[-1][0]:
        return points[-1][1]
    index = bisect.bisect_right([q for q, _ in points], quality) - 1
    (q0, r0), (q1, r1) = points[index], points[index + 1]
    return round(r0 + (r1 - r0) * (quality - q0) / (q1 - q0))


def from_rate_index(rate_index: int, entry: ModelEntry) -> float:
    """Quality that gives this rate index; at a clamped end, the quality where the clamping begins."""
    points = entry.calibration
    if rate_index <= points[0][1]:
        return points[0][0]
    for (q0, r0), (q1, r1) in itertools.pairwise(points):
        if rate_index <= r1:
            return q0 + (q1 - q0) * (rate_index - r0) / (r1 - r0)
    return points[-1][0]


def clamped_below(entry: ModelEntry) -> float:
    """Quality at and below which files are all the same."""
    return entry.calibration[0][0]


def clamped_above(entry: ModelEntry) -> float:
    """Quality at and above which files are all the same."""
    return entry.calibration[-1][0]
