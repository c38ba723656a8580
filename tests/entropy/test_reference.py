"""The reference scale network equals the same arithmetic in array operations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from codec.entropy.reference import Layer, magnitude_code, run, scale_context, scale_indices


def _network(rng, shuffles):
    h, m = 3, 4
    layers, channels = [], h
    for i, shuffled in enumerate([*shuffles, False]):
        last = i == len(shuffles)
        out = m if last else 8 if shuffled else 5
        k = int(rng.choice([1, 3]))
        weight = rng.integers(-60, 61, (out, channels, k, k))
        bias = rng.integers(-4000, 4001, out)
        layers.append(Layer(weight.tolist(), bias.tolist(), 0 if last else 5, shuffled))
        channels = out // 4 if shuffled else out
    return layers


def _arrays(z, layers):
    a = np.array(z)
    for i, layer in enumerate(layers):
        w = np.array(layer.weight)
        p = w.shape[-1] // 2
        windows = sliding_window_view(np.pad(a, ((0, 0), (p, p), (p, p))), w.shape[-2:], axis=(1, 2))
        a = np.einsum("oikl,ihwkl->ohw", w, windows) + np.array(layer.bias)[:, None, None]
        a = a // 2**layer.shift
        if i < len(layers) - 1:
            a = a.clip(0, 255)
        if layer.shuffle:
            c, h, wd = a.shape
            a = a.reshape(c // 4, 2, 2, h, wd).transpose(0, 3, 1, 4, 2).reshape(c // 4, 2 * h, 2 * wd)
    return a


@pytest.mark.parametrize("shuffles", [(True,), (True, True), (False, True), (True, False, True)])
def test_network_is_integer_convolution(shuffles):
    rng = np.random.default_rng(len(shuffles))
    layers = _network(rng, shuffles)
    z = rng.integers(-127, 128, (3, 2, 3)).tolist()
    hidden, s = run(z, layers)
    assert np.array_equal(np.array(s), _arrays(z, layers))
    assert np.array_equal(_arrays(hidden, layers[-1:]), np.array(s))
    assert len(s[0]) == 2 * 2 ** sum(shuffles)


def test_magnitude_code_values():
    assert [magnitude_code(r) for r in (0, 1, -1, 2, -3, 7, 15, 32767)] == [0, 16, 16, 25, 32, 48, 64, 127]


def test_context_sees_codes_and_hidden_planes_in_that_order():
    """One layer that computes (3 x code of r + 5 x hidden plane) >> 1."""
    layers = [Layer([[[[3]], [[5]]]], [1], 1, False)]
    # (1 + 3 * 16 + 5 * 10) >> 1 = 49, added to 100; without r (1 + 50) >> 1 = 25.
    assert scale_context([[[100, 100]]], [[[10, 10]]], [[[-1, 0]]], layers) == [[[149, 125]]]


def test_index_by_hand():
    offset = [[100 * i] for i in range(11)]
    s = [[[-300, 0, 7, 15, 16, 2000]]]
    assert scale_indices(s, offset, 0, False) == [[[0, 0, 0, 0, 1, 63]]]
    assert scale_indices(s, offset, 0, True) == [[[1, 1, 1, 1, 1, 63]]]
    # 256 + 128 lies halfway: offset 150; 150 / 16 = 9.4, (7 + 150) / 16 = 9.8, (15 + 150) / 16 = 10.3.
    assert scale_indices(s, offset, 384, False) == [[[0, 9, 9, 10, 10, 63]]]
    assert scale_indices(s, offset, 2560, False)[0][0][1] == 1000 >> 4


def test_negative_offsets_round_down():
    offset = [[-1], [-2], *[[0]] * 9]
    # (-1 * 128 - 2 * 128 + 128) >> 8 = -1, and (16 - 1) >> 4 = 0.
    assert scale_indices([[[16, 17]]], offset, 128, False) == [[[0, 1]]]
