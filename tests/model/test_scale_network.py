"""The installed scale network equals plain integer arithmetic and what training computes."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from codec.bitstream.rate_index import MAX_RATE_INDEX, RATE_POINTS
from codec.entropy import reference
from codec.entropy.steps import step_of
from codec.errors import WeightsError
from codec.inference.folding import scale_weights
from codec.inference.graphs import Architecture
from codec.inference.scale_network import SUM_LIMIT, ScaleNetwork, interpolate_offset
from codec.inference.torch_backend import TorchRunner
from codec.model.config import ModelConfig
from codec.networks.integer_scales import FakeQuantisedScale, magnitude_code

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


def plain_run(a, layers, arrays, prefix):
    """FORMAT.md 8.1 with float64 products of integers: exact, because sums stay far below 2**53."""
    a = hidden = a.astype(np.float64)
    for i, layer in enumerate(layers):
        hidden = a
        w = arrays[f"{prefix}.{i}.weight"].astype(np.float64)
        p = layer.kernel // 2
        windows = sliding_window_view(np.pad(a, ((0, 0), (p, p), (p, p))), w.shape[2:], axis=(1, 2))
        a = np.tensordot(w, windows, ((1, 2, 3), (0, 3, 4)))
        a = (a + arrays[f"{prefix}.{i}.bias"][:, None, None]) // 2**layer.shift
        if i < len(layers) - 1:
            a = a.clip(0, 255)
        if layer.shuffle:
            c, h, wd = a.shape
            a = a.reshape(c // 4, 2, 2, h, wd).transpose(0, 3, 1, 4, 2).reshape(c // 4, 2 * h, 2 * wd)
    return hidden, a.astype(np.int64)


def plain_index(model, arrays, z, r, step, rate_index):
    """FORMAT.md 8.2 and 8.3: the scale indices of one step."""
    hidden, s = plain_run(z, model.scale.layers, arrays, "scale")
    if step:
        code = np.floor(16 * np.log2(1 + np.abs(r.astype(np.float64)))).clip(0, 127)
        stacked = np.concatenate([code, hidden])
        s = s + plain_run(stacked, model.scale.context_layers, arrays, f"scale.context.{step - 1}")[1]
    i = min(rate_index >> 8, 9)
    low, high = arrays["scale.offset"][i : i + 2].astype(np.int64)
    offset = (low * (256 - (rate_index - 256 * i)) + high * (rate_index - 256 * i) + 128) >> 8
    return ((s + offset[:, None, None]) >> 4).clip(0, 63)


def draw_r(kind, shape, step, seed=0):
    """Return residuals of the steps before `step`, zero elsewhere."""
    rng = np.random.default_rng(seed)
    r = rng.integers(-2, 3, shape)
    if kind == "any":
        r = np.rint(rng.choice([-1, 1], shape) * 32767 ** rng.random(shape))
    if kind == "extreme":
        r = rng.integers(0, 2, shape) * 65534 - 32767
    return np.where(step_of(*shape) < step, r, 0).astype(np.int16)


@pytest.mark.parametrize("kind", ["small", "any", "extreme"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (1, 16), (16, 16)])
def test_installed_network_by_array_arithmetic(model, arrays, kind, shape):
    z = draw(kind, (model.config.h, *shape))
    start = model.scale.start(z)
    assert np.array_equal(start.sixteenths, plain_run(z, model.scale.layers, arrays, "scale")[1])
    for step in range(4):
        r = draw_r(kind, start.sixteenths.shape, step)
        for rate_index in (0, 1, 255, 700, 1537, MAX_RATE_INDEX):
            expected = plain_index(model, arrays, z, r, step, rate_index)
            found = model.scale.scale_index(step, start, r, rate_index)
            assert np.array_equal(found, np.where(step_of(*r.shape) == step, expected, 0))


@pytest.mark.parametrize("kind", ["any", "extreme"])
def test_installed_network_by_the_reference(model, arrays, kind):
    def stack(prefix, layers):
        names = [f"{prefix}.{i}" for i in range(len(layers))]
        return [
            reference.Layer(
                arrays[f"{n}.weight"].tolist(), arrays[f"{n}.bias"].tolist(), layer.shift, layer.shuffle
            )
            for n, layer in zip(names, layers, strict=True)
        ]

    z = draw(kind, (model.config.h, 1, 1), 1)
    start = model.scale.start(z)
    hidden, s = reference.run(z.tolist(), stack("scale", model.scale.layers))
    assert start.sixteenths.tolist() == s
    for step in (0, 1, 2, 3):
        r = draw_r(kind, start.sixteenths.shape, step, 1)
        if step:
            layers = stack(f"scale.context.{step - 1}", model.scale.context_layers)
        sixteenths = reference.scale_context(s, hidden, r.tolist(), layers) if step else s
        indices = reference.scale_indices(sixteenths, arrays["scale.offset"].tolist(), 777, False)
        own = step_of(*r.shape) == step
        assert np.array_equal(model.scale.scale_index(step, start, r, 777)[own], np.array(indices)[own])


def test_installed_network_uses_its_input(model):
    """If it did not, the comparisons above would prove nothing."""
    shape = (model.config.h, 4, 4)
    still, start = (model.scale.start(draw("any", shape) * n) for n in (0, 1))
    nothing = np.zeros((model.config.m, 4, 4), np.int16)
    moved = model.scale.scale_index(0, start, nothing, 1000)
    own = [step_of(*nothing.shape) == step for step in range(4)]
    assert (model.scale.scale_index(0, still, nothing, 1000) != moved)[own[0]].mean() > 0.1
    assert len(np.unique(moved)) > 10
    for step in (1, 2, 3):
        plain = model.scale.scale_index(step, still, nothing, 1000)
        r = draw_r("small", nothing.shape, step)
        assert (model.scale.scale_index(step, still, r, 1000) != plain)[own[step]].mean() > 0.05


def test_offsets_interpolate_like_the_reference():
    table = np.random.default_rng(3).integers(-1000, 1000, (RATE_POINTS, 5)).astype(np.int16)
    for rate_index in range(0, MAX_RATE_INDEX + 1, 7):
        index = reference.scale_indices([[[16 * 200]]] * 5, table.tolist(), rate_index, False)
        expected = [((3200 + o) >> 4) for o in interpolate_offset(table, rate_index).tolist()]
        assert [plane[0][0] for plane in index] == [min(max(v, 0), 63) for v in expected]


def randomised(config, scale, seed):
    """Return a trainable network with parameters up to `scale` and the bounds enforced after each step."""
    generator = torch.Generator().manual_seed(seed)
    network = FakeQuantisedScale(config)
    with torch.no_grad():
        for layer in network.convolutions():
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * scale)
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator) * scale)
        network.offset.copy_(torch.randn(network.offset.shape, generator=generator) * 4)
    network.enforce_bounds()
    return network


def exported(config, network):
    arrays = {"scale.offset": network.offset_integers().detach().numpy()}
    for prefix, layers in network.stacks().items():
        for i, layer in enumerate(layers):
            weight, bias = layer.integers()
            arrays[f"{prefix}.{i}.weight"] = weight.detach().numpy()
            arrays[f"{prefix}.{i}.bias"] = bias.detach().numpy()
    return frozen_network(config, arrays)


def frozen_network(config, arrays):
    layers = config.scale_layers, config.context_layers
    runner = TorchRunner(Architecture(config, *layers), scale_weights(*layers, arrays))
    return ScaleNetwork(*layers, config.z_stride, arrays, runner)


@pytest.mark.parametrize("z_stride", [16, 32, 64])
@pytest.mark.parametrize("scale", [0.01, 0.3, 100.0])
def test_training_computes_what_is_exported(z_stride, scale):
    config = SMALL[z_stride]
    network = randomised(config, scale, seed=z_stride)
    frozen = exported(config, network)
    cases = [("small", 0), ("any", 640), ("extreme", MAX_RATE_INDEX - 1), ("small", MAX_RATE_INDEX)]
    batch = np.stack([draw(kind, (config.h, 3, 5)) for kind, _ in cases])
    rates = torch.tensor([rate_index / 256 for _, rate_index in cases])
    start = network.start(torch.from_numpy(batch.astype(np.float32)), rates)
    for step in range(4):
        r = np.stack([draw_r(kind, tuple(start[1].shape[1:]), step) for kind, _ in cases])
        trained = network(step, start, torch.from_numpy(r.astype(np.float32))).detach().numpy()
        for z, known, index, (_, rate_index) in zip(batch, r, trained, cases, strict=True):
            own = step_of(*known.shape) == step
            found = frozen.scale_index(step, frozen.start(z), known, rate_index)
            assert np.array_equal(index[own], found[own])


def test_training_uses_the_magnitude_code_of_the_format():
    codes = magnitude_code(torch.arange(-32767.0, 32768.0)).int().tolist()
    assert codes == [reference.magnitude_code(r) for r in range(-32767, 32768)]


def test_untrained_context_has_no_effect():
    network = FakeQuantisedScale(SMALL[32])
    start = network.start(torch.ones(1, 4, 2, 2), torch.tensor([3.0]))
    r = torch.full((1, 8, 4, 4), 5.0)
    assert all(torch.equal(network(0, start, r), network(step, start, r)) for step in (1, 2, 3))


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e6])
def test_bounds_hold_after_a_step_of_any_size(scale):
    network = randomised(SMALL[32], scale, seed=5)
    first = network.layers[0]
    for layer in network.convolutions():
        weight, bias = (t.double() for t in layer.integers())
        largest = weight.abs().sum((1, 2, 3)) * (127 if layer is first else 255) + bias.abs()
        assert largest.max() < SUM_LIMIT
        if scale == 1e6:
            assert largest.min() > 0.9 * SUM_LIMIT


def test_bounds_do_not_change_small_parameters():
    network = FakeQuantisedScale(SMALL[32])
    before = [p.detach().clone() for p in network.parameters()]
    network.enforce_bounds()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_gradients_pass_the_rounding():
    network = randomised(SMALL[32], 0.1, seed=6)
    z = torch.from_numpy(draw("any", (1, 4, 3, 3)).astype(np.float32)).requires_grad_()
    start = network.start(z, torch.tensor([3.3]))
    r = torch.from_numpy(draw_r("any", (1, 8, 6, 6)[1:], 1).astype(np.float32))[None]
    sum(network(step, start, r).sum() for step in range(4)).backward()
    assert z.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


def test_sum_one_unit_above_the_bound_is_refused():
    config = SMALL[32]
    arrays = {"scale.offset": np.zeros((RATE_POINTS, config.m), np.int16)}
    stacks = {"scale": (config.h, config.scale_layers)}
    stacks |= {f"scale.context.{k}": (config.m + 64, config.context_layers) for k in range(3)}
    for prefix, (inputs, layers) in stacks.items():
        for i, layer in enumerate(layers):
            shape = (layer.out, inputs, layer.kernel, layer.kernel)
            arrays[f"{prefix}.{i}.weight"] = np.zeros(shape, np.int16)
            arrays[f"{prefix}.{i}.bias"] = np.zeros(layer.out, np.int32)
            inputs = layer.out // 4 if layer.shuffle else layer.out
    for name in ("scale.1", "scale.context.0.0", "scale.context.2.2"):
        changed = {k: v.copy() for k, v in arrays.items()}
        changed[f"{name}.weight"][3, 0, 0, 0] = -2
        changed[f"{name}.bias"][3] = SUM_LIMIT - 1 - 2 * 255
        frozen_network(config, changed)
        changed[f"{name}.bias"][3] += 1
        with pytest.raises(WeightsError, match=re.escape(name)):
            frozen_network(config, changed)
