from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from codec.errors import UsageError
from codec.model.config import ModelConfig
from codec.train.checkpoint import WeightAverage
from codec.train.settings import TrainOptions, is_decaying, learning_rate_factor


@pytest.mark.parametrize(
    ("step", "progress", "factor"),
    [(0, 0, 0.005), (99, 0.1, 0.5), (199, 0.2, 1), (5000, 0.5, 1), (5000, 0.85, 1), (5000, 0.925, 0.51),
     (5000, 1, 0.02), (99, 0.925, 0.255)],
)  # fmt: skip
def test_learning_rate_factor(step, progress, factor):
    assert learning_rate_factor(step, progress) == pytest.approx(factor, abs=1e-9)


def test_decay_falls_and_starts_where_configured():
    assert not is_decaying(0.8499)
    assert is_decaying(0.8501)
    factors = [learning_rate_factor(10_000, 0.85 + 0.15 * i / 50) for i in range(51)]
    assert all(a > b for a, b in itertools.pairwise(factors))


def test_weight_average_values():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(10)
    average = WeightAverage(model, 0.9)
    expected = 10.0
    for step in range(1, 200):
        with torch.no_grad():
            model.weight.fill_(step)
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert float(average.values["weight"]) == pytest.approx(expected, rel=1e-5)
    assert 180 < expected < 199


def test_lmbda_is_spaced_by_logarithm():
    config = ModelConfig(lmbda_min=0.001, lmbda_max=1.024)
    assert [config.lmbda(i) for i in range(11)] == pytest.approx([0.001 * 2**i for i in range(11)])
    assert config.lmbda(0.5) == pytest.approx(0.001 * math.sqrt(2))


@pytest.mark.parametrize(
    "bad",
    [{"batch": 12}, {"batch": 8}, {"batch": 0}, {"crop": 100}, {"crop": 0}, {"final_crop": 544},
     {"minutes": 0}, {"luma_share": -0.1}, {"drawn_share": 1.1}, {"drawn_share": -0.1},
     {"luma_share": 0.6, "structure_share": 0.6}, {"structure_share": 0.1, "crop": 128},
     {"perceptual_share": -0.1}, {"perceptual_share": 0.1, "crop": 128},
     {"luma_share": 0.3, "structure_share": 0.3, "perceptual_share": 0.5},
     {"model": {"m": 63}}, {"model": {"nonsense": 1}}, {"model": {"z_stride": 48}}, {"model": [1]}],
)  # fmt: skip
def test_bad_options_are_refused(bad):
    with pytest.raises(UsageError):
        TrainOptions(**{"images": "", "out": "", **bad})


def test_options_round_trip_through_a_file():
    options = TrainOptions("in", "out", steps=5, model={"m": 64})
    assert TrainOptions.from_json(options.to_json()) == options
