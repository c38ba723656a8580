"""Samples, walks and imputation: seeds reproduce, ends are the pictures, known pixels are kept."""

from __future__ import annotations

import numpy as np
import pytest

from codec.decoder import decompress
from codec.encoder import compress
from codec.errors import UsageError
from codec.vae import impute, interpolate, sample, traverse


def psnr(a, b):
    return 10 * np.log10(255**2 / np.square(a.astype(float) - b).mean())


def test_samples_depend_on_the_seed_and_their_number_alone():
    first = sample(2, seed=7, side=64)
    again = sample(1, seed=7, side=64, threads=1)
    other = sample(1, seed=8, side=64)
    assert first[0].shape == (64, 64, 3)
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_cold_samples_are_plainer_than_warm_ones():
    cold = sample(3, seed=1, side=64, temperature_z=0.3, temperature_y=0.3)
    warm = sample(3, seed=1, side=64)
    assert np.std(cold) < np.std(warm)


@pytest.mark.parametrize("options", [{"side": 100}, {"side": 1024}, {"temperature_y": -1}, {"seed": -1}])
def test_sample_refuses(options):
    with pytest.raises(UsageError):
        sample(1, **options)


@pytest.mark.parametrize("spherical", [False, True])
def test_interpolation_starts_and_ends_at_its_pictures(photo, spherical):
    a, b = photo(80, 48), photo(80, 48)[::-1, ::-1].copy()
    frames = interpolate(a, b, 3, spherical=spherical, quality=80)
    assert [frame.shape for frame in frames] == [a.shape] * 3
    assert psnr(frames[0], a) > 30
    assert psnr(frames[2], b) > 30
    assert psnr(frames[1], a) < psnr(frames[0], a)


def test_the_middle_of_a_traversal_is_the_coded_picture(photo):
    pixels = photo(64, 64)
    frames = traverse(pixels, 0, (-40, 0, 40), quality=60)
    coded = np.asarray(decompress(compress(pixels, 60, effort=0)))
    assert np.abs(frames[1].astype(int) - coded).max() <= 1
    assert psnr(frames[0], coded) < 35
    assert psnr(frames[2], coded) < 35


def test_walks_refuse_what_does_not_fit(photo):
    with pytest.raises(UsageError, match="64x48 and 48x64"):
        interpolate(photo(64, 48), photo(48, 64))
    with pytest.raises(UsageError, match="channel"):
        traverse(photo(64, 48), 10_000)


def test_imputation_keeps_what_is_known_and_beats_the_mean_colour(photo):
    pixels = photo(70, 60)
    missing = np.zeros((60, 70), bool)
    missing[20:23, 10:60] = True
    missing[35:47, 30:42] = True
    torn = np.where(missing[..., None], 0, pixels).astype(np.uint8)
    first, second = impute(torn, missing, samples=2, seed=3)
    for filled in (first, second):
        assert np.array_equal(filled[~missing], pixels[~missing])
    assert not np.array_equal(first, second)
    mean = np.full_like(pixels, pixels[~missing].mean())
    assert psnr(first[missing], pixels[missing]) > 3 + psnr(mean[missing], pixels[missing])
    assert np.array_equal(impute(torn, missing, samples=2, seed=3)[1], second)


def test_imputation_refuses(photo):
    pixels = photo(32, 32)
    with pytest.raises(UsageError, match="size"):
        impute(pixels, np.zeros((32, 31), bool))
    with pytest.raises(UsageError, match="no pixel"):
        impute(pixels, np.ones((32, 32), bool))
    assert np.array_equal(impute(pixels, np.zeros((32, 32), bool))[0], pixels)
