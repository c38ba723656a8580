"""The ELBO equals the bits and the error of the codec."""

from __future__ import annotations

import math

import numpy as np
import pytest

from codec.bitstream.rate_index import nearest_rate_point
from codec.encode.rdo.decision import ideal_bits
from codec.errors import UsageError
from codec.vae import elbo
from codec.vae.evidence import cell_bits
from codec.vae.picture_latents import choose, encode_latents


def test_cell_bits_sum_to_the_ideal_bits_of_the_tables(photo):
    setting = choose(60)
    model, rate_index = setting.model, setting.rate_index
    (symbols,) = encode_latents(model, photo(90, 70), rate_index, threads=1).symbols
    tables, rate_point = model.coder.tables, nearest_rate_point(rate_index)
    bits_z, bits_y = cell_bits(tables, symbols, rate_point)
    promised = ideal_bits(tables, symbols.z, symbols.r, symbols.scale_index, rate_point)
    assert bits_z.sum() + bits_y.sum() == pytest.approx(promised, rel=1e-4)


def test_parts_and_constants(photo):
    pixels = photo(100, 60)
    found = elbo(pixels, quality=60, beta=20, threads=1)
    sigma_squared = 3 * 20 / (2 * math.log(2) * 255**2)
    exponent = 3 * found.mse / (2 * math.log(2) * sigma_squared)
    assert found.distortion == pytest.approx(exponent)
    assert found.norm == pytest.approx(1.5 * math.log2(2 * math.pi * sigma_squared))
    assert found.negative_elbo == pytest.approx(found.rate_z + found.rate_y + found.distortion + found.norm)
    assert found.cells().shape == (4, 7)
    whole = found.cells().sum() * 256 / (100 * 60)
    assert whole == pytest.approx(found.rate_z + found.rate_y + found.distortion)


def test_noise_costs_more_than_a_photo_and_flat_areas_less(photo):
    pixels = photo(96, 96)
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint8)
    flat = np.full_like(pixels, 120)
    weights = [elbo(p, quality=50, threads=1).negative_elbo for p in (flat, pixels, noise)]
    assert weights[0] < weights[1] < weights[2]


def test_beta_selects_the_rate_trained_for_it():
    config = choose().model.config
    assert choose(beta=1 / config.lmbda(3)).rate_index == 3 * 256
    assert choose(beta=1e9).rate_index == 0
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="beta"):
            choose(beta=wrong)
