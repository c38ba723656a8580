"""Higher efforts: bits + lmbda x error never rises, decoding is unchanged, bytes are reproducible."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import codec
from codec.bitstream.geometry import Tile
from codec.bitstream.rate_index import nearest_rate_point
from codec.encode.options import LEVELS, level_of
from codec.encode.rdo import soft_rate
from codec.encode.rdo.decision import (
    RateDistortionDecision,
    bits_by_magnitude,
    error_weight,
    ideal_bits,
    step_bits,
)
from codec.encode.rdo.gradient_descent import SoftError, expected, stochastic_round
from codec.encode.rdo.objective import Objective
from codec.encode.rdo.soft_rate import soft_tile
from codec.encode.tile_view import view_tile
from codec.inference.weights import load_model
from codec.model.index import default_model_id
from codec.networks.network import float_network
from codec.tiles.quantise import dequantise_tile, quantise_tile

RATE_INDEX = 1468


@pytest.fixture(scope="module")
def model():
    return load_model(default_model_id())


@pytest.fixture(scope="module")
def coded(model, photo):
    """Return one tile and the objective at the symbols of plain rounding."""
    view = view_tile(model, photo(128, 96), Tile(0, 0, 0, 128, 96), rim=True)
    symbols = quantise_tile(model, view.latent(model, RATE_INDEX), RATE_INDEX)
    return symbols, Objective(model, view, RATE_INDEX, RATE_INDEX, symbols, gray=False)


def cost(data, x, quality):
    """Return bits + lmbda * squared error, with the lmbda of the quality."""
    encoder = codec.Encoder(quality)
    model = load_model(default_model_id())
    error = np.square(np.asarray(codec.decompress(data)).astype(float) - x).sum()
    return 8 * len(data) + error_weight(model, encoder.rate_index) * error


@pytest.mark.parametrize("quality", [15, 50, 90])
def test_higher_effort_costs_less_and_decodes(photo, quality):
    x = photo(160, 128)
    files = [codec.compress(x, quality, effort=effort) for effort in range(5)]
    costs = [cost(data, x, quality) for data in files]
    # The objective ignores the rounding of samples, and of codestreams to 32-bit words.
    slack = 0.002 * costs[0] + 64
    assert all(later <= costs[0] + slack for later in costs[1:])
    assert costs[4] < costs[0]
    assert codec.compress(x, quality, effort=3) == files[3]
    assert codec.compress(x, quality) == files[0]


def test_gradient_descent_lowers_the_cost_within_its_budget(photo):
    x = photo(96, 64)
    ticks = []
    encoder = codec.Encoder(60, effort=5, threads=2)
    data = encoder.encode(x, progress=lambda done, total: ticks.append((done, total)))
    assert data == encoder.encode(x)
    assert ticks == sorted(ticks)
    assert ticks[-1] == (100, 100)
    assert cost(data, x, 60) < 0.99 * cost(codec.compress(x, 60, effort=0), x, 60)
    short = codec.Encoder(60, effort=9, seconds=0.01).encode(x)
    assert np.asarray(codec.decompress(short)).shape == x.shape


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (130, 16)])
@pytest.mark.parametrize(("mode", "tune"), [("RGB", "psnr"), ("L", "visual")])
def test_gradient_descent_of_any_size_and_gray(photo, size, mode, tune):
    picture = Image.fromarray(photo(*size)).convert(mode)
    decoded = codec.decompress(codec.compress(picture, 60, effort=2, tune=tune))
    assert (decoded.size, decoded.mode) == (size, mode)
    assert np.abs(np.asarray(decoded).astype(int) - np.asarray(picture)).mean() < 10


def test_tile_view_includes_the_neighbours(model, photo):
    x = photo(256, 128)
    whole, part = (view_tile(model, x, Tile(0, 0, 0, width, 128), rim=True) for width in (256, 128))
    assert part.y.shape[1:] == (8, 13)
    assert part.latent(model, RATE_INDEX).shape[1:] == (8, 8)
    # Away from its outer edge, the rim equals the same part of the whole picture's latent.
    assert np.abs(part.y[:, :, :12] - whole.y[:, :, :12]).max() < 1e-3
    assert part.x.shape == (128, 208, 3)
    assert (part.x == x[:, :208]).all()


def test_channel_weights_match_the_jacobian(model, coded):
    """For nearly all channels, weights are within a quarter of random probes of the Jacobian of g_s."""
    symbols, objective = coded
    unscaled = torch.from_numpy(dequantise_tile(model, symbols, RATE_INDEX))[None]
    generator, total = torch.Generator().manual_seed(1), 0
    for _ in range(4):
        leaf = unscaled.clone().requires_grad_()
        x_hat = float_network(model).g_s(leaf, torch.tensor([RATE_INDEX / 256]))
        signs = torch.randint(0, 2, x_hat.shape, generator=generator) * 2 - 1
        total = total + torch.autograd.grad((x_hat * signs).sum(), leaf)[0].square() / 4
    energy = total.mean((0, 2, 3)).numpy() * np.square(objective.steps[:, 0, 0])
    ratio = 255**2 * energy * error_weight(model, RATE_INDEX) / step_bits(model, RATE_INDEX)
    assert np.median(ratio) == pytest.approx(1, abs=0.15)
    assert ((ratio > 0.6) & (ratio < 1.6)).mean() > 0.9


def test_soft_bits_and_error_are_exact_at_integers(model, coded):
    symbols, objective = coded
    r = soft_rate.split(symbols.r.astype(np.float32))
    z = torch.from_numpy(symbols.z.astype(np.float32))[None]
    with torch.no_grad():
        tile = soft_tile(model, z, RATE_INDEX, lambda step, _mu, _index: r[step])
        y_hat = soft_rate.join(tile.y_hat, symbols.r.shape)
        error = float(SoftError(objective)(y_hat))
    real = ideal_bits(
        model.coder.tables, symbols.z, symbols.r, symbols.scale_index, nearest_rate_point(RATE_INDEX)
    )
    assert float(tile.bits) == pytest.approx(real, rel=0.01)
    expected = dequantise_tile(model, symbols, RATE_INDEX) / objective.steps
    assert np.abs(y_hat.numpy() - expected).max() < 1e-2
    assert float(tile.bits) + error == pytest.approx(objective.least, rel=0.02)


def test_decisions_weigh_bits_against_error(model):
    index = np.full((4, 1, 1, 1), 20, np.uint8)
    exact = np.array([0.55, -1.52, 7.3, 0.1], np.float32).reshape(4, 1, 1, 1)

    def decided(weight, index=index):
        decide = RateDistortionDecision(model, np.full((4, 2, 2), weight, np.float32), 1.0)
        return decide(0, exact, index).ravel().tolist()

    assert decided(1e6) == [1, -2, 7, 0]
    assert decided(1e-6) == [0, 0, 0, 0]
    assert decided(1e6, index * 0) == [0, 0, 0, 0]


def test_soft_rounding_at_low_temperature_is_rounding():
    generator = torch.Generator().manual_seed(2)

    def mean(value, times=400):
        return torch.stack([stochastic_round(value, 0.02, generator) for _ in range(times)]).mean(0)

    value = torch.tensor([0.02, 0.6, 1.97, -0.55, -0.2, -3.03, 5.0])
    assert (mean(value) - value.round()).abs().max() < 0.05
    assert 0.4 < float(mean(torch.tensor([-0.5])) + 1) < 0.6


def test_expected_residuals_are_means_of_random_rounding():
    value = torch.tensor([0.0, 0.04, 0.65, 1.5, -1.96, -3.0, 0.5])
    late = torch.tensor(0.65)
    mean, variance = expected(value, late, 0.0)
    # At the threshold, which a dead zone moves outwards, both neighbours are equally likely.
    assert mean.tolist() == pytest.approx([0, 0.04 / 1.3, 0.5, 1.5, -1.96, -3, 0.5 / 1.3])
    chance = np.array([0, 0.04 / 1.3, 0.5, 0.5, 0.96, 0, 0.5 / 1.3])
    assert variance.tolist() == pytest.approx((chance * (1 - chance)).tolist(), abs=1e-5)
    hard, _ = expected(torch.tensor([0.55, 0.72, 1.4, -2.6]), late, 1.0)
    assert hard.tolist() == [0, 1, 1, -3]


def test_quarters_are_reassembled():
    planes = np.arange(8 * 5 * 7, dtype=np.float32).reshape(8, 5, 7)
    parts = soft_rate.split(planes)
    assert parts.shape == (4, 4, 2, 12)
    assert (soft_rate.join(parts, planes.shape).numpy() == planes).all()


@pytest.mark.parametrize("size", [(80, 48), (112, 144)])
def test_soft_bits_are_exact_at_odd_sizes(model, photo, size):
    view = view_tile(model, photo(*size), Tile(0, 0, 0, *size), rim=True)
    symbols = quantise_tile(model, view.latent(model, RATE_INDEX), RATE_INDEX)
    r = soft_rate.split(symbols.r.astype(np.float32))
    z = torch.from_numpy(symbols.z.astype(np.float32))[None]
    with torch.no_grad():
        tile = soft_tile(model, z, RATE_INDEX, lambda step, _mu, _index: r[step])
    real = ideal_bits(
        model.coder.tables, symbols.z, symbols.r, symbols.scale_index, nearest_rate_point(RATE_INDEX)
    )
    assert float(tile.bits) == pytest.approx(real, rel=0.01)


def test_error_gradients_match_finite_differences_beside_gaps(model, photo):
    """Beside a lossless neighbour, too, where g_s does not filter across the boundary."""
    present = np.ones((8, 16), bool)
    present[:, 8:] = False
    view = view_tile(model, photo(256, 128), Tile(0, 0, 0, 128, 128), present, rim=True)
    symbols = quantise_tile(model, view.latent(model, RATE_INDEX), RATE_INDEX)
    objective = Objective(model, view, RATE_INDEX, RATE_INDEX, symbols, gray=False)
    error = SoftError(objective)
    leaf = torch.from_numpy(dequantise_tile(model, symbols, RATE_INDEX) / objective.steps).requires_grad_()
    (slope,) = torch.autograd.grad(error(leaf), leaf)
    step = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(5)) * 1e-3
    with torch.no_grad():
        ahead, behind = (float(error(leaf + sign * step)) for sign in (1, -1))
    assert (ahead - behind) / 2 == pytest.approx(float((slope * step).sum()), rel=0.1)


def test_bits_rise_with_magnitude(model):
    curve = bits_by_magnitude(model.coder.tables)
    assert curve.shape[0] == 64
    assert (np.diff(curve[1:, :3], axis=1)[:20] > 0).all()


@pytest.mark.parametrize("bad", [-1, 10, 2.5, "3", True, None])
def test_bad_efforts_are_refused(bad):
    with pytest.raises(codec.UsageError, match="effort must be"):
        level_of(bad)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), "5", True])
def test_bad_budgets_are_refused(bad):
    with pytest.raises(codec.UsageError, match="seconds must be"):
        codec.Encoder(seconds=bad)


def test_there_are_ten_levels():
    assert len(LEVELS) == 10
    assert not LEVELS[0].decides
