"""Metrics against known values and at the limits of their domain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from codec.bench.metrics import measure, ms_ssim, psnr_rgb, psnr_y, ssimulacra2


def noisy(pixels, amount):
    noise = np.random.default_rng(1).integers(-amount, amount + 1, pixels.shape)
    return np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)


def test_psnr_of_a_known_error():
    x = np.full((4, 5, 3), 100, np.uint8)
    x_hat = x.copy()
    x_hat[..., 1] = 110
    assert psnr_rgb(x, x_hat) == pytest.approx(10 * math.log10(255**2 / (100 / 3)))
    assert psnr_y(x, x_hat) == pytest.approx(10 * math.log10(255**2 / 5.87**2))
    assert psnr_rgb(x, x) == 100


def test_ms_ssim_matches_its_definition_at_the_extremes(photo):
    pytest.importorskip("pytorch_msssim")
    x = photo(176, 164)
    assert ms_ssim(x, x) == pytest.approx(1)
    assert 0.5 < ms_ssim(x, noisy(x, 60)) < ms_ssim(x, noisy(x, 10)) < 1


@pytest.mark.parametrize(("width", "height"), [(160, 400), (400, 160), (1, 1)])
def test_ms_ssim_of_a_small_picture_is_none(width, height):
    x = np.zeros((height, width, 3), np.uint8)
    assert ms_ssim(x, x) is None
    assert measure(x, x, ("psnr_rgb", "ms_ssim", "ssimulacra2"))["ms_ssim"] is None


def test_ssimulacra2_falls_with_noise_and_skips_small_pictures(photo):
    pytest.importorskip("ssimulacra2")
    x = photo(232, 226)
    assert ssimulacra2(x, x) == pytest.approx(100)
    assert ssimulacra2(x, noisy(x, 40)) < ssimulacra2(x, noisy(x, 5)) < 100
    assert ssimulacra2(x[:224], x[:224]) is None


def test_stored_values_are_rounded(photo):
    found = measure(photo(16, 16), noisy(photo(16, 16), 3), ("psnr_rgb", "psnr_y"))
    assert all(value == round(value, 4) for value in found.values())
