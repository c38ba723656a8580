"""The search for a target on synthetic curves: steep, bent, stepped and out of reach."""

from __future__ import annotations

import math

import pytest

from codec.encode.target_search import MAX_TRIALS, search

CURVES = {
    "straight": lambda rate_index: rate_index / 100,
    "bent": lambda rate_index: math.log(2000 + rate_index**1.5),
    "logarithmic": lambda rate_index: 5 * math.log(rate_index + 250),
    "stepped": lambda rate_index: rate_index // 4 / 25,
    "exponential": lambda rate_index: math.exp(rate_index / 300),
}


@pytest.mark.parametrize("start", [0, 700, 2560])
@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("wanted", [5, 300, 1111, 2558])
def test_band_is_reached_in_few_trials(name, wanted, start):
    curve, seen = CURVES[name], []
    middle = curve(wanted)
    spread = 0.01 * (curve(2560) - curve(0)) / 2 if name == "exponential" else 0.03

    def attempt(rate_index):
        seen.append(rate_index)
        return curve(rate_index), str(rate_index)

    found = search(attempt, (middle - spread, middle + spread), start, 2560, from_below=True)
    assert found.chosen is not None
    assert abs(found.chosen.value - middle) <= spread
    assert found.chosen.result == str(found.chosen.rate_index)
    assert len(seen) == len(set(seen)) <= MAX_TRIALS


@pytest.mark.parametrize(("from_below", "expected"), [(True, 2), (False, 4)])
def test_gap_around_the_band_gives_the_nearest_on_the_requested_side(from_below, expected):
    # The curve jumps from 2 to 4, so that no value lies in 2.9..3.1.
    found = search(
        lambda rate_index: (2.0 if rate_index < 900 else 4.0, None),
        (2.9, 3.1),
        100,
        2560,
        from_below=from_below,
    )
    assert found.chosen is not None
    assert found.chosen.value == expected


@pytest.mark.parametrize(
    ("band", "from_below", "rate_index"),
    [((-9, -8), True, None), ((-9, -8), False, 0), ((99, 100), True, 2560), ((99, 100), False, None)],
)
def test_band_beyond_an_end_gives_that_end_or_none(band, from_below, rate_index):
    found = search(lambda r: (r / 100, None), band, 800, 2560, from_below=from_below)
    assert (None if found.chosen is None else found.chosen.rate_index) == rate_index
    assert (found.low.rate_index == 0) if band[0] < 0 else (found.high.rate_index == 2560)
