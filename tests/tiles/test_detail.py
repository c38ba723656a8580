"""The detail layer: its transforms are orthonormal, and quantisation keeps what words can say."""

from __future__ import annotations

import numpy as np
import pytest

from codec.entropy.detail_coder import DetailCoder
from codec.inference.weights import load_model
from codec.model.index import default_model_id
from codec.tiles.detail import (
    BLOCKS,
    LAPPED,
    TileDetail,
    add_detail,
    analyse_detail,
    cells,
    dequantise,
    quantise_detail,
    step_code,
    step_size,
    synthesise_detail,
)

SIZES = [(16, 16), (1, 1), (37, 17), (5, 40), (64, 96), (512, 8)]
TRANSFORMS = pytest.mark.parametrize("transform", [LAPPED, BLOCKS])
SIZE = (45, 64)


@pytest.fixture(scope="module")
def tables():
    return load_model(default_model_id()).detail.tables


@pytest.fixture(scope="module")
def error():
    rng = np.random.default_rng(0)
    y, x = np.indices(SIZE)
    return (40 * np.sin((x + 2 * y) / 3)[..., None] + rng.normal(0, 9, (*SIZE, 3))).astype(np.float32)


@TRANSFORMS
@pytest.mark.parametrize("size", SIZES)
def test_transform_comes_back(size, transform):
    error = np.random.default_rng(0).normal(0, 20, (*size, 3)).astype(np.float32)
    coefficients = analyse_detail(error, transform)
    assert coefficients.shape == (3, 16, 16, *cells(*size))
    assert np.abs(synthesise_detail(coefficients, transform, *size) - error).max() < 1e-3


@TRANSFORMS
def test_transform_keeps_energy(transform):
    error = np.random.default_rng(1).normal(0, 20, (48, 64, 3)).astype(np.float32)
    energy = np.square(analyse_detail(error, transform)).sum()
    assert energy == pytest.approx(np.square(error).sum(), rel=1e-5)


def test_constant_error_is_one_coefficient_per_cell():
    coefficients = analyse_detail(np.full((48, 48, 3), 7, np.float32), LAPPED)
    assert coefficients[0, 0, 0] == pytest.approx(np.full((3, 3), 7 * 16 * 3**0.5), rel=1e-5)
    coefficients[0, 0, 0] = 0
    assert np.abs(coefficients).max() < 1e-3


def test_lapped_blocks_overlap():
    one = np.zeros((3, 16, 16, 3, 3), np.float32)
    one[0, 1, 1, 1, 1] = 100
    touched = np.abs(synthesise_detail(one, LAPPED, 48, 48)).max(2) > 1e-3
    rows = np.flatnonzero(touched.any(1))
    assert (rows.min(), rows.max()) == (8, 39)


def test_small_blocks_interleave():
    error = np.zeros((16, 16, 3), np.float32)
    error[8:, :8] = 3
    coefficients = analyse_detail(error, BLOCKS)
    assert coefficients[0, 1, 0, 0, 0] == pytest.approx(3 * 8 * 3**0.5, rel=1e-5)
    coefficients[0, 1, 0] = 0
    assert np.abs(coefficients).max() < 1e-4


@TRANSFORMS
def test_words_give_what_the_encoder_decided(tables, error, transform):
    code = 90
    detail, codes, bits = quantise_detail(tables, analyse_detail(error, transform), transform, code)
    coder = DetailCoder(tables)
    words = coder.encode(detail.q, transform, codes)
    decoded = coder.decode(words, transform, *detail.q.shape[3:])
    assert np.array_equal(decoded.q, detail.q)
    assert np.array_equal(decoded.scale_index, detail.scale_index)
    # 24 mean codes of 6 bits each are not part of the estimate.
    assert 8 * len(words) == pytest.approx(bits + 144, rel=0.05)
    made = synthesise_detail(dequantise(tables, decoded, code), transform, *SIZE)
    assert made.shape == (*SIZE, 3)
    assert np.square(made - error).mean() < step_size(code) ** 2 / 6


def test_finer_steps_cost_more_and_err_less(tables, error):
    found = []
    for code in (40, 80, 120, 160, 200):
        detail, _, bits = quantise_detail(tables, analyse_detail(error, LAPPED), LAPPED, code)
        left = synthesise_detail(dequantise(tables, detail, code), LAPPED, *SIZE) - error
        found.append((bits, np.square(left).mean()))
    assert found == sorted(found, key=lambda pair: -pair[0])
    assert found == sorted(found, key=lambda pair: pair[1])


def test_no_error_takes_no_bits(tables):
    detail, codes, bits = quantise_detail(tables, np.zeros((3, 16, 16, 2, 2), np.float32), BLOCKS, 0)
    assert not codes.any()
    assert not bits
    assert not dequantise(tables, detail, 0).any()


def test_steps_lie_32_to_an_octave():
    assert (step_size(0), step_size(32), step_size(255)) == (1, 2, pytest.approx(250.5, abs=0.1))
    assert (step_code(1e9), step_code(1e-9)) == (0, 255)
    # A quarter of the price of errors allows twice the step.
    assert step_code(0.01) == step_code(0.04) + 32


def test_sum_is_rounded_and_clipped(tables):
    model = load_model(default_model_id())
    coefficients = np.zeros((3, 16, 16, 1, 1), np.float32)
    coefficients[0, 0, 0] = 900
    quantised, _, _ = quantise_detail(tables, coefficients, BLOCKS, 64)
    detail = TileDetail(quantised, BLOCKS, 64)
    samples = np.full((9, 11, 3), 250, np.uint8)
    samples[0, 0] = 0
    made = add_detail(model, detail, samples, gray=False)
    added = synthesise_detail(dequantise(tables, quantised, 64), BLOCKS, 9, 11)
    assert np.abs(made - (samples + added).clip(0, 255)).max() <= 0.5
    assert made.max() == 255
    one = add_detail(model, detail, samples[:, :, :1], gray=True)
    assert one.shape == (9, 11, 1)
    assert np.abs(one - (samples + added).mean(2, keepdims=True).clip(0, 255)).max() <= 0.5
