"""The installed integer network against plain arithmetic, and against what training computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from codec.entropy import reference
from codec.errors import WeightsError
from codec.model.config import MAX_RATE, ModelConfig
from codec.model.scale_network import SUM_LIMIT, ScaleNetwork, interpolate_offset
from codec.train.fake_quantised import FakeQuantisedScale

SMALL = {
    16: ModelConfig(m=8, h=4, z_stride=16),
    32: ModelConfig(m=8, h=4, z_stride=32),
    64: ModelConfig(m=8, h=4, z_stride=64),
}


def draw(kind, shape, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "small":
        return rng.integers(-2, 3, shape).astype(np.int16)
    if kind == "any":
        return rng.integers(-127, 128, shape).astype(np.int16)
    return (rng.integers(0, 2, shape) * 254 - 127).astype(np.int16)


def plain_levels(z, layers, arrays):
    """FORMAT.md 8.1 with float64 products of integers: exact, for every sum stays far below 2**53."""
    a = z.astype(np.float64)
    for i, layer in enumerate(layers):
        w = arrays[f"scale.{i}.weight"].astype(np.float64)
        p = layer.kernel // 2
        windows = sliding_window_view(np.pad(a, ((0, 0), (p, p), (p, p))), w.shape[2:], axis=(1, 2))
        a = np.tensordot(w, windows, ((1, 2, 3), (0, 3, 4)))
        a = (a + arrays[f"scale.{i}.bias"][:, None, None]) // 2**layer.shift
        if i < len(layers) - 1:
            a = a.clip(0, 255)
        if layer.shuffle:
            c, h, wd = a.shape
            a = a.reshape(c // 4, 2, 2, h, wd).transpose(0, 3, 1, 4, 2).reshape(c // 4, 2 * h, 2 * wd)
    return a.astype(np.int64)


@pytest.mark.parametrize("kind", ["small", "any", "extreme"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (1, 16), (16, 16)])
def test_installed_network_by_array_arithmetic(model, arrays, kind, shape):
    z = draw(kind, (model.config.h, *shape))
    expected = plain_levels(z, model.scale.layers, arrays)
    assert np.array_equal(model.scale.levels(z), expected)
    for quality in (0, 1, 255, 700, 1537, MAX_RATE):
        i = min(quality >> 8, 6)
        low, high = arrays["scale.offset"][i : i + 2].astype(np.int64)
        offset = (low * (256 - (quality - 256 * i)) + high * (quality - 256 * i) + 128) >> 8
        index = ((expected + offset[:, None, None]) >> 4).clip(0, 63)
        assert np.array_equal(model.scale.scale_index(z, quality), index)


@pytest.mark.parametrize("kind", ["any", "extreme"])
def test_installed_network_by_the_reference(model, arrays, kind):
    z = draw(kind, (model.config.h, 1, 1), 1)
    plain = [
        reference.Layer(
            arrays[f"scale.{i}.weight"].tolist(),
            arrays[f"scale.{i}.bias"].tolist(),
            layer.shift,
            layer.shuffle,
        )
        for i, layer in enumerate(model.scale.layers)
    ]
    s = reference.scale_network(z.tolist(), plain)
    assert model.scale.levels(z).tolist() == s
    indices = reference.scale_indices(s, arrays["scale.offset"].tolist(), 777, False)
    assert model.scale.scale_index(z, 777).tolist() == indices


def test_installed_network_uses_its_input(model):
    """Else every comparison above would hold of a network that has died."""
    still = model.scale.scale_index(draw("small", (model.config.h, 4, 4)) * 0, 1000)
    moved = model.scale.scale_index(draw("any", (model.config.h, 4, 4)), 1000)
    assert (still != moved).mean() > 0.2
    assert len(np.unique(moved)) > 10


def test_offsets_interpolate_like_the_reference():
    table = np.random.default_rng(3).integers(-1000, 1000, (8, 5)).astype(np.int16)
    for quality in range(0, MAX_RATE + 1, 7):
        index = reference.scale_indices([[[16 * 200]]] * 5, table.tolist(), quality, False)
        expected = [((3200 + o) >> 4) for o in interpolate_offset(table, quality).tolist()]
        assert [plane[0][0] for plane in index] == [min(max(v, 0), 63) for v in expected]


def randomised(config, scale, seed):
    """A network under training with parameters as large as `scale`, bounds enforced as after each step."""
    generator = torch.Generator().manual_seed(seed)
    network = FakeQuantisedScale(config)
    with torch.no_grad():
        for layer in network.layers:
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * scale)
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator) * scale)
        network.offset.copy_(torch.randn(network.offset.shape, generator=generator) * 4)
    network.enforce_bounds()
    return network


def exported(config, network):
    arrays = {"scale.offset": network.offset_integers().detach().numpy()}
    for i, layer in enumerate(network.layers):
        weight, bias = layer.integers()
        arrays[f"scale.{i}.weight"], arrays[f"scale.{i}.bias"] = (
            weight.detach().numpy(),
            bias.detach().numpy(),
        )
    return ScaleNetwork(config.scale_layers, config.z_stride, arrays)


@pytest.mark.parametrize("z_stride", [16, 32, 64])
@pytest.mark.parametrize("scale", [0.01, 0.3, 100.0])
def test_training_computes_what_is_exported(z_stride, scale):
    config = SMALL[z_stride]
    network = randomised(config, scale, seed=z_stride)
    frozen = exported(config, network)
    cases = [("small", 0), ("any", 640), ("extreme", 1791), ("small", MAX_RATE)]
    batch = np.stack([draw(kind, (config.h, 3, 5)) for kind, _ in cases])
    rates = torch.tensor([quality / 256 for _, quality in cases])
    trained = network(torch.from_numpy(batch.astype(np.float32)), rates).detach().numpy()
    for z, index, (_, quality) in zip(batch, trained, cases, strict=True):
        assert np.array_equal(index, frozen.scale_index(z, quality))


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e6])
def test_bounds_hold_after_a_step_of_any_size(scale):
    network = randomised(SMALL[32], scale, seed=5)
    for i, layer in enumerate(network.layers):
        weight, bias = (t.double() for t in layer.integers())
        largest = weight.abs().sum((1, 2, 3)) * (255 if i else 127) + bias.abs()
        assert largest.max() < SUM_LIMIT
        if scale == 1e6:
            assert largest.min() > 0.9 * SUM_LIMIT


def test_bounds_leave_small_parameters_alone():
    network = FakeQuantisedScale(SMALL[32])
    before = [p.detach().clone() for p in network.parameters()]
    network.enforce_bounds()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_gradients_pass_the_rounding():
    network = randomised(SMALL[32], 0.1, seed=6)
    z = torch.from_numpy(draw("any", (1, 4, 3, 3)).astype(np.float32)).requires_grad_()
    network(z, torch.tensor([3.3])).sum().backward()
    assert z.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_bound_one_unit_too_far_is_refused():
    config = SMALL[32]
    arrays = {"scale.offset": np.zeros((8, config.m), np.int16)}
    inputs = config.h
    for i, layer in enumerate(config.scale_layers):
        arrays[f"scale.{i}.weight"] = np.zeros((layer.out, inputs, layer.kernel, layer.kernel), np.int16)
        arrays[f"scale.{i}.bias"] = np.zeros(layer.out, np.int32)
        inputs = layer.out // 4 if layer.shuffle else layer.out
    arrays["scale.1.weight"][3, 0, 0, 0] = -2
    arrays["scale.1.bias"][3] = SUM_LIMIT - 1 - 2 * 255
    ScaleNetwork(config.scale_layers, config.z_stride, arrays)
    arrays["scale.1.bias"][3] += 1
    with pytest.raises(WeightsError, match=r"scale\.1"):
        ScaleNetwork(config.scale_layers, config.z_stride, arrays)
