"""BD-rate of curves with a known answer, and curves that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from codec.bench.curves import bd_rate, complete_pictures, decibel, mean_bd_rate, mean_curve, rising
from codec.bench.results import CodecFacts, Picture, Point, Results

pytest.importorskip("bjontegaard")
VALUES = [28.0, 31.0, 33.5, 36.0, 39.0]
BPP = [0.2, 0.4, 0.7, 1.1, 2.0]


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.37])
def test_bd_rate_of_a_scaled_rate_is_the_factor(factor):
    found = bd_rate(rising(BPP, VALUES), rising([factor * b for b in BPP], VALUES))
    assert found.percent == pytest.approx(100 * (factor - 1), abs=1e-9)
    assert (found.low, found.high, found.share) == (28, 39, 1)


def test_bd_rate_states_the_overlap():
    found = bd_rate(rising(BPP, VALUES), rising(BPP, [value + 5.5 for value in VALUES]))
    assert (found.low, found.high) == (33.5, 39)
    assert found.share == pytest.approx(5.5 / 16.5)
    assert found.percent < 0


def test_bd_rate_is_refused_without_overlap():
    for shift in (11.0, 20.0):
        found = bd_rate(rising(BPP, VALUES), rising(BPP, [value + shift for value in VALUES]))
        assert found.percent is None
        assert found.share == 0


def test_bd_rate_is_refused_for_few_points():
    assert bd_rate(rising(BPP[:3], VALUES[:3]), rising(BPP, VALUES)).percent is None


def test_rising_drops_points_without_gain():
    curve = rising([3, 1, 1, 2, 2.5], [40, 30, 30, 35, 34])
    assert curve.bpp.tolist() == [1, 2, 3]
    assert curve.value.tolist() == [30, 35, 40]


def test_ms_ssim_in_decibel_is_finite():
    assert decibel(0.99) == pytest.approx(20)
    assert decibel(1.0) == 60


def synthetic(metric="psnr_rgb") -> Results:
    """Two codecs on two pictures of 100x80; codec b needs half and then a quarter of codec a's bytes."""
    results = Results(codecs={name: CodecFacts(name, "1", "Q") for name in "ab"})
    results.pictures = {sha: Picture(sha, f"{sha}.png", 100, 80) for sha in ("one", "two")}
    for index, sha in enumerate(results.pictures):
        for quality, (bpp, value) in enumerate(zip(BPP, VALUES, strict=True)):
            size = round(bpp * 1000)
            results.points["a", quality, sha] = Point(4 * size, {metric: value})
            results.points["b", quality, sha] = Point(size * (2 - index), {metric: value})
    return results


def test_mean_curve_and_mean_of_pictures_differ():
    results = synthetic()
    pictures = complete_pictures(results, ["a", "b"], "psnr_rgb")
    assert pictures == ["one", "two"]
    curves = [mean_curve(results, name, "psnr_rgb", pictures) for name in "ab"]
    assert np.allclose(curves[0].bpp, [4 * b for b in BPP])
    assert bd_rate(*curves).percent == pytest.approx(-62.5)
    found = mean_bd_rate(results, "a", "b", "psnr_rgb", pictures)
    assert found.percent == pytest.approx((-50 - 75) / 2)
    assert found.pictures == 2


def test_pictures_without_the_metric_are_ignored():
    results = synthetic("ms_ssim")
    for key, point in results.points.items():
        point.metrics["ms_ssim"] = 1 - 10 ** (-point.metrics["ms_ssim"] / 10) if key[2] == "one" else None
    pictures = complete_pictures(results, ["a", "b"], "ms_ssim")
    assert pictures == ["one"]
    assert np.allclose(mean_curve(results, "a", "ms_ssim", pictures).value, VALUES, atol=1e-6)


def test_missing_points_exclude_a_picture():
    results = synthetic()
    del results.points["a", 2, "two"]
    assert complete_pictures(results, ["a", "b"], "psnr_rgb") == ["one"]
    assert complete_pictures(results, ["b"], "psnr_rgb") == ["one", "two"]
