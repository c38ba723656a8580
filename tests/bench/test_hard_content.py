"""Kinds of hard pictures, and the BD-rate that exact files bound."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bjontegaard")
pytest.importorskip("skimage")

ROOT = Path(__file__).parents[2]
SIDE = 128

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs the source tree", allow_module_level=True)

# PSNR and bytes of a curve: each step of 5 dB doubles the bytes.
LEVELS = (20.0, 25.0, 30.0, 35.0, 40.0)


@pytest.fixture
def script(monkeypatch):
    """Return a function that imports a script of benchmarks/ (which is not installed)."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def costs(script):
    """Return a function that gives the costs of a curve of `first` bytes at 20 dB, with an exact file."""
    content = script("content")

    def of(first, exact=None):
        curve = [content.Point(first * 2**step, level) for step, level in enumerate(LEVELS)]
        return content.Costs([curve], [content.Point(exact, content.EXACT_DB)] if exact else [])

    return of


def test_kinds_are_many_different_and_repeatable(script):
    module = script("hard_content")
    assert len(module.KINDS) >= 24
    assert len({kind.name for kind in module.KINDS}) == len(module.KINDS)
    assert len({kind.shows for kind in module.KINDS}) == len(module.KINDS)
    made = [module.picture(kind, SIDE) for kind in module.KINDS]
    assert len({picture.tobytes() for picture in made}) == len(made)
    assert all(np.ptp(picture) > 10 for picture in made)
    assert np.array_equal(made[-1], module.picture(module.KINDS[-1], SIDE))


def test_zone_plate_reaches_half_a_cycle_per_pixel(script):
    module = script("hard_content")
    middle = module.zone_plate(SIDE, np.random.default_rng())[SIDE // 2, :, 0].astype(int)
    assert np.ptp(middle[SIDE // 2 - 4 : SIDE // 2 + 4]) < 40
    assert np.all(np.diff(np.sign(np.diff(middle[:12]))) != 0)


def test_equal_curves_scaled_in_bytes(script, costs):
    content = script("content")
    found = content.bd_rate(costs(90), costs(100))
    assert found == {"percent": -10.0, "from_db": 20.0, "to_db": 40.0}
    assert content.least_gain(costs(50), costs(100)) == pytest.approx(5, abs=0.06)
    assert content.least_gain(costs(150), costs(100)) == pytest.approx(-2.92, abs=0.06)
    assert content.least_gain(costs(300), costs(100)) is None


def test_exact_file_bounds_a_curve(script, costs):
    content = script("content")
    plain, bounded = costs(100), costs(100, exact=400)
    levels = np.array([20.0, 27.5, 30.0, 35.0, 44.0])
    expected = [100, 100 * 2**1.5, 400, 400, 400]
    assert np.exp(bounded.log_bytes(levels)) == pytest.approx(expected)
    assert np.isinf(plain.log_bytes(levels)).tolist() == [False] * 4 + [True]
    # With an exact file on both sides the range goes on to its end.
    assert content.bd_rate(bounded, costs(100, exact=400))["to_db"] == content.TOP_DB
    # Above 30 dB the other curve doubles the bytes every 5 dB: 0 to 2 octaves over half the range.
    change = content.bd_rate(bounded, plain)["percent"]
    assert change == pytest.approx(100 * (math.exp2(-0.5) - 1), abs=0.5)


def test_exact_files_alone_reach_every_psnr(script, costs):
    content = script("content")
    only = content.Costs([[content.Point(100, content.EXACT_DB)]])
    found = content.bd_rate(only, costs(100))
    assert (found["from_db"], found["to_db"]) == (20, 40)
    assert found["percent"] == pytest.approx(-75, abs=0.1)


def test_curves_that_do_not_overlap(script):
    content = script("content")
    low, high = (
        content.Costs([[content.Point(100, level), content.Point(200, level + 5)]]) for level in (10, 30)
    )
    assert content.bd_rate(low, high) is None
