"""Sampling, walks in the latent space and imputation: reproducible, exact at the ends, known pixels kept."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from codec.api import compress, decompress
from codec.errors import UsageError
from codec.image.load import ConversionWarning
from codec.vae import impute, interpolate, sample, traverse


def psnr(a, b):
    return 10 * np.log10(255**2 / np.square(a.astype(float) - b).mean())


def test_samples_depend_only_on_seed_and_number():
    first = sample(2, seed=7, side=64)
    again = sample(1, seed=7, side=64, threads=1)
    other = sample(1, seed=8, side=64)
    assert first[0].shape == (64, 64, 3)
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_low_temperature_samples_have_less_contrast():
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


def test_middle_of_a_traversal_is_the_coded_picture(photo):
    pixels = photo(64, 64)
    frames = traverse(pixels, 0, (-40, 0, 40), quality=60)
    coded = np.asarray(decompress(compress(pixels, 60, effort=0)))
    assert np.abs(frames[1].astype(int) - coded).max() <= 1
    assert psnr(frames[0], coded) < 35
    assert psnr(frames[2], coded) < 35


def test_walks_over_several_tiles_have_no_seam(photo):
    """The end frames of four-tile pictures equal the decoded files, and threads change nothing."""
    a = photo(528, 528)
    b = a[::-1, ::-1].copy()
    coded = [np.asarray(decompress(compress(pixels, 60, effort=0))).astype(int) for pixels in (a, b)]
    frames = interpolate(a, b, 3, quality=60, threads=1)
    assert [frame.shape for frame in frames] == [a.shape] * 3
    for frame, end in zip((frames[0], frames[2]), coded, strict=True):
        assert np.abs(frame - end).max() <= 1
    again = interpolate(a, b, 3, quality=60, threads=3)
    assert all(np.array_equal(x, y) for x, y in zip(frames, again, strict=True))
    (still,) = traverse(a, 0, (0,), quality=60)
    assert np.array_equal(still, frames[0])
    (moved,) = traverse(a, 0, (12,), quality=60)
    change = (moved.astype(int) - still).mean((1, 2))
    assert np.abs(change[:512]).mean() > 1
    assert np.abs(change[512:]).mean() > 1


def test_spherical_path_is_shared_by_all_tiles(photo):
    """The right tile is equal in both pictures, and still changes along the arc between the left tiles."""
    a = photo(640, 64)
    b = a.copy()
    b[:, :512] = a[::-1, :512]
    # Columns beyond the reach of both transforms from the left tile.
    first, straight, _ = (frame[:, 600:].astype(int) for frame in interpolate(a, b, 3, quality=60))
    arc = interpolate(a, b, 3, spherical=True, quality=60)[1][:, 600:].astype(int)
    assert np.abs(straight - first).mean() < 1
    assert np.abs(arc - first).mean() > 3
    assert np.array_equal(*interpolate(a, a, 3, spherical=True, quality=60)[:2])


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ((64, 48), (128, 96), "the second picture, of 128x96 pixels, is scaled to the 64x48"),
        ((96, 80), (64, 48), "the first picture, of 96x80 pixels, is cut around its middle and scaled"),
        ((64, 48), (48, 64), "the second picture, of 48x64 pixels, is cut around its middle and scaled"),
    ],
)
def test_larger_of_two_pictures_is_fitted_to_the_smaller(photo, first, second, told):
    a, b = photo(*first), photo(*second)
    size = min(first, second, key=lambda side: side[0] * side[1])
    with pytest.warns(ConversionWarning, match=told):
        frames = interpolate(a, b, 3, quality=80)
    assert [frame.shape for frame in frames] == [(size[1], size[0], 3)] * 3
    ends = [np.asarray(ImageOps.fit(Image.fromarray(end), size, Image.Resampling.LANCZOS)) for end in (a, b)]
    assert psnr(frames[0], ends[0]) > 28
    assert psnr(frames[2], ends[1]) > 28


def test_portrait_and_landscape_pictures_are_fitted():
    bar = np.tile(np.linspace(0, 255, 700).astype(np.uint8)[:, None, None], (1, 1, 3))
    with pytest.warns(ConversionWarning, match="700x1 pixels"):
        frames = interpolate(bar, bar.transpose(1, 0, 2).copy(), 2, quality=60)
    assert [frame.shape for frame in frames] == [(700, 1, 3)] * 2


def test_walks_refuse_what_does_not_fit(photo):
    with pytest.raises(UsageError, match="ends"):
        interpolate(photo(64, 48), photo(64, 48), 1)
    with pytest.raises(UsageError, match="channel"):
        traverse(photo(64, 48), 10_000)


def test_imputation_keeps_known_pixels_and_beats_the_mean_colour(photo):
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
    with pytest.raises(UsageError, match="covers the whole picture"):
        impute(pixels, np.ones((32, 32), bool))
    assert np.array_equal(impute(pixels, np.zeros((32, 32), bool))[0], pixels)
