"""Anomalies of unusually high and low cost are detected on a texture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from codec.errors import UsageError
from codec.vae import AnomalyModel
from codec.vae.anomaly_detection import heat_map


def texture(seed, side=64):
    grain = np.random.default_rng(seed).integers(0, 256, (side + 16, side + 16), np.uint8)
    soft = np.asarray(Image.fromarray(grain).filter(ImageFilter.GaussianBlur(1.5)))[
        8 : side + 8, 8 : side + 8
    ]
    return np.repeat(soft[..., None], 3, 2)


def damaged(seed, kind):
    pixels = texture(seed).copy()
    if kind == "noise":
        pixels[16:40, 16:40] = np.random.default_rng(seed).integers(0, 256, (24, 24, 1))
    else:
        pixels[16:44, 16:44] = 128
    return pixels


@pytest.fixture(scope="module")
def model():
    return AnomalyModel.fit([texture(seed) for seed in range(8)], false_positive_rate=0.1)


@pytest.mark.parametrize("kind", ["noise", "flat"])
def test_auroc_is_high_on_both_sides(model, kind):
    good = np.array([model.score(texture(seed)).value for seed in range(100, 106)])
    bad = np.array([model.score(damaged(seed, kind)).value for seed in range(200, 206)])
    assert (bad[:, None] > good).mean() >= 0.95


def test_heat_map_marks_the_damage(model):
    pixels = damaged(300, "noise")
    found = model.score(pixels)
    assert found.anomalous
    assert found.cells.shape == (8, 8)
    assert found.cells[2:5, 2:5].mean() > 2 * found.cells[6:, 6:].mean()
    overlay = heat_map(pixels, found.cells).astype(int)
    redness = overlay[..., 0] - overlay[..., 2]
    assert redness[20:36, 20:36].mean() > redness[50:, 50:].mean() + 50


def test_json_round_trip_and_refusals(model):
    assert AnomalyModel.from_json(model.to_json()) == model
    for text in ("", "{}", '{"kind": "other"}', "[1]"):
        with pytest.raises(UsageError, match="not an anomaly model"):
            AnomalyModel.from_json(text)
    with pytest.raises(UsageError, match="no normal pictures"):
        AnomalyModel.fit([])


def test_unusual_rate_or_distortion_makes_a_cell_unusual(model):
    rate, distortion = model.rate, model.distortion
    cells = [
        [rate.median, distortion.median],
        [rate.high, distortion.median],
        [rate.median, distortion.low],
        # The sum of both is the normal one.
        [rate.median + distortion.median - distortion.low, distortion.low],
        [rate.low, distortion.high],
    ]
    normal, *unusual = model.distance(np.array(cells))
    assert normal == 0
    assert min(unusual) >= 1 - 1e-9
