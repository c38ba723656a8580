"""Quantisation in four steps with context: encoder and decoder reconstruct the same latent."""

from __future__ import annotations

import numpy as np
import pytest

from codec.bitstream.rate_index import nearest_rate_point
from codec.inference.scale_network import dead_zone
from codec.inference.weights import load_model
from codec.model.index import default_model_id
from codec.networks.layers import interpolate, rate_point_tensor
from codec.networks.network import float_network
from codec.tiles.quantise import dequantise_tile, quantise_tile
from codec.tiles.transforms import Block, analyse


@pytest.fixture(scope="module")
def model():
    return load_model(default_model_id())


@pytest.fixture(scope="module", params=[0, 1468, 2560])
def tile(request, model, photo):
    """The latent of a tile and its symbols at one rate index: (rate_index, y, symbols)."""
    y = analyse(model, photo(96, 128), Block(0, 0, 8, 6), 8, 6, request.param)
    return request.param, y, quantise_tile(model, y, request.param)


def rebuilt(model, tile):
    """Return the latent that the decoder reconstructs, in units of the quantiser step."""
    rate_index, _, symbols = tile
    return dequantise_tile(model, symbols, rate_index) / unscaling(model, rate_index)


def unscaling(model, rate_index):
    return interpolate(float_network(model).inverse_gain, rate_point_tensor(rate_index)).exp().numpy()[0]


def test_symbols(model, tile):
    rate_index, y, symbols = tile
    tables = model.coder.tables
    stride = model.config.z_stride // 16
    assert symbols.r.shape == symbols.scale_index.shape == y.shape == (model.config.m, 8, 6)
    assert symbols.z.shape == (model.config.h, 8 // stride, 6 // stride)
    assert (symbols.z.dtype, symbols.r.dtype, symbols.scale_index.dtype) == (np.int16, np.int16, np.uint8)
    assert np.array_equal(tables.clamp_z(symbols.z, nearest_rate_point(rate_index)), symbols.z)
    assert np.array_equal(model.scale.scale_indices(symbols.z, symbols.r, rate_index), symbols.scale_index)
    assert not symbols.r[symbols.scale_index == 0].any()
    assert symbols.r.any()


def largest_error(model, scale_index):
    """Return the largest error: half a step, more in the dead zone or where reconstruction points lean."""
    lean = np.abs(model.arrays["lean"])[scale_index]
    return np.maximum(dead_zone()[scale_index], 0.5 + lean) + 1e-3


def test_coded_latents_are_reconstructed(model, tile):
    _, y, symbols = tile
    coded = symbols.scale_index > 0
    error = np.abs(rebuilt(model, tile) - y)
    assert coded.mean() > 0.005
    assert (error <= largest_error(model, symbols.scale_index))[coded].all()


def test_lift_flag_codes_all_residuals(model, photo):
    """A latent far from 0 with a scale index of 0 makes the encoder set the lift flag and code all."""
    y = analyse(model, photo(96, 128), Block(0, 0, 8, 6), 8, 6, 0)
    plain = quantise_tile(model, y, 0)
    assert not plain.lift
    empty = np.flatnonzero(plain.scale_index == 0)
    for where in np.random.default_rng(0).choice(empty, 20):
        wild = y.copy()
        wild.reshape(-1)[where] = 9.3
        lifted = quantise_tile(model, wild, 0)
        # The hyper-latent may have predicted a larger scale.
        if lifted.lift:
            break
    assert lifted.lift
    assert lifted.scale_index.min() == 1
    error = np.abs(dequantise_tile(model, lifted, 0) / unscaling(model, 0) - wild)
    assert (error <= largest_error(model, lifted.scale_index)).all()


def test_residuals_stay_within_the_format(model, tile):
    rate_index, y, _ = tile
    symbols = quantise_tile(model, np.sign(y) * np.float32(1e6), rate_index)
    assert np.abs(symbols.r.astype(int)).max() == 32767
