from __future__ import annotations

import math

import numpy as np
import pytest

from codec.bitstream.header import Header
from codec.bitstream.quality import MAX_QUALITY, rate_band
from codec.entropy.tables import BANDS
from codec.errors import UsageError
from codec.model.config import MAX_RATE, RATE_POINTS, STEP_UNITS
from codec.model.index import ModelEntry, default_model_id, model_entry
from codec.model.quality import clamped_above, clamped_below, from_rate, to_rate

ENTRY = ModelEntry(b"abcd", "", "", "", ((20.0, 0), (50.0, 800), (52.0, 1000), (90.0, 2560)), {})


@pytest.mark.parametrize(
    ("quality", "rate"),
    [(0, 0), (20, 0), (35, 400), (50, 800), (51, 900), (52.0, 1000), (71, 1780), (90, 2560), (100, 2560)],
)
def test_along_the_calibration(quality, rate):
    assert to_rate(quality, ENTRY) == rate


def test_back():
    assert from_rate(0, ENTRY) == clamped_below(ENTRY) == 20
    assert from_rate(2560, ENTRY) == clamped_above(ENTRY) == 90
    for quality in np.linspace(20, 90, 141):
        # A rate is a whole number; one of them is at most 0.05 of quality here.
        assert from_rate(to_rate(float(quality), ENTRY), ENTRY) == pytest.approx(quality, abs=0.05)


@pytest.mark.parametrize("bad", [-1, -1e-9, 100.001, 1e9, math.nan, math.inf, -math.inf, True, "75", None])
def test_bad_values(bad):
    with pytest.raises(UsageError, match="quality"):
        to_rate(bad, ENTRY)


def test_installed_calibration_rises_from_end_to_end():
    entry = model_entry(default_model_id())
    rates = [to_rate(q / 4, entry) for q in range(401)]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (0, 2560)
    low, high = clamped_below(entry), clamped_above(entry)
    assert 0 <= low < high <= 100
    inside = [to_rate(float(q), entry) for q in np.linspace(low, high, 50)]
    assert (np.diff(inside) > 0).all()


def test_header_tables_and_model_count_the_same_rate_points():
    assert BANDS == RATE_POINTS == rate_band(MAX_QUALITY) + 1
    assert MAX_RATE == MAX_QUALITY == (RATE_POINTS - 1) * STEP_UNITS
    assert [rate_band(point * STEP_UNITS) for point in range(RATE_POINTS)] == list(range(RATE_POINTS))
    assert rate_band(MAX_QUALITY - STEP_UNITS // 2 - 1) == RATE_POINTS - 2
    assert Header(1, 1, MAX_RATE, b"abcd").quality == MAX_RATE
    with pytest.raises(UsageError, match="quality"):
        Header(1, 1, MAX_RATE + 1, b"abcd")
