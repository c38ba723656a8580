"""Targets on real pictures: the file meets the target, or an error gives the closest possible value."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

import codec
import codec.encode.picture_coder
from codec.encode.options import Target, only_target, parse_size
from codec.image.similarity import psnr, ssim

LUMA = np.array([0.299, 0.587, 0.114])


def decoded(data):
    return np.asarray(codec.decompress(data))


def structural(x, x_hat):
    return structural_similarity(
        x @ LUMA, x_hat @ LUMA, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


@pytest.fixture
def counted(monkeypatch):
    """Count the analyses and the trials of a compression."""
    counts = {"analyses": 0, "trials": 0}
    analyse, code = codec.encode.picture_coder.view_tile, codec.encode.picture_coder.PictureCoder.code

    def counted_analysis(*arguments, **options):
        counts["analyses"] += 1
        return analyse(*arguments, **options)

    def counted_trial(*arguments, **options):
        counts["trials"] += 1
        return code(*arguments, **options)

    monkeypatch.setattr("codec.encode.picture_coder.view_tile", counted_analysis)
    monkeypatch.setattr("codec.encode.picture_coder.PictureCoder.code", counted_trial)
    return counts


@pytest.mark.parametrize("n_bytes", [900, 3000, 4801])
def test_size_is_nearly_reached_and_never_exceeded(photo, counted, n_bytes):
    data = codec.compress(photo(200, 150), target_size=n_bytes, effort=0)
    assert n_bytes - max(16, 0.01 * n_bytes) <= len(data) <= n_bytes
    assert decoded(data).shape == (150, 200, 3)
    assert counted["trials"] <= 8
    assert counted["analyses"] == 1


def test_size_counts_alpha_and_metadata(photo):
    pixels = photo(160, 160)
    alpha = np.add.outer(np.arange(160), np.arange(160)).astype(np.uint8)
    picture = Image.fromarray(np.dstack([pixels, alpha]))
    stream = io.BytesIO()
    picture.save(stream, "PNG", exif=Image.Exif().tobytes(), dpi=(300, 300))
    data = codec.compress(stream.getvalue(), target_size="4kB", effort=0)
    assert 3960 <= len(data) <= 4000


def test_bpp_target_counts_the_whole_file(photo):
    data = codec.compress(photo(200, 150), target_bpp=1.0, effort=0)
    assert 3750 - 37.5 <= len(data) <= 3750


# At effort 1 the PSNR of a single tile jumps where its rate offset changes: here by 0.25 dB around 33 dB,
# where the closest value of any rate is 33.06.
@pytest.mark.parametrize(("wanted", "effort"), [(30, 0), (33, 0), (36.5, 0), (36.5, 1)])
def test_psnr_is_reached_and_exceeded_by_little(photo, counted, wanted, effort):
    pixels = photo(200, 150)
    reached = psnr(pixels, decoded(codec.compress(pixels, target_psnr=wanted, effort=effort)))
    assert wanted <= reached <= wanted + 0.05
    assert counted["trials"] <= 8
    assert counted["analyses"] == 1


def test_ssim_is_reached(photo):
    pixels = photo(200, 150)
    reached = structural(pixels, decoded(codec.compress(pixels, target_ssim=0.95, effort=0)))
    assert 0.95 - 1e-5 <= reached <= 0.951


@pytest.mark.parametrize(("width", "height"), [(11, 11), (60, 37), (40, 700)])
def test_ssim_matches_scikit_image(photo, width, height):
    x = photo(width, height)
    x_hat = np.clip(x.astype(int) + np.random.default_rng(1).integers(-20, 21, x.shape), 0, 255).astype(
        np.uint8
    )
    full = structural_similarity(
        x @ LUMA, x_hat @ LUMA, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )[1]  # fmt: skip
    assert ssim(x, x_hat) == pytest.approx(full[5:-5, 5:-5].mean(), abs=2e-4)


def test_similarity_of_tiny_and_equal_pictures(photo):
    assert ssim(photo(3, 2), photo(3, 2)) == pytest.approx(1)
    assert psnr(photo(3, 2), photo(3, 2)) == 100
    assert psnr(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)) == pytest.approx(0)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"target_size": 60}, "smallest file possible is [0-9]+ bytes"),
        ({"target_size": 10**7}, "largest file possible, short of --lossless, is [0-9]+ bytes"),
        ({"target_psnr": 70}, "best possible, short of --lossless, is [0-9.]+ dB"),
        ({"target_psnr": 5}, "lowest possible is [0-9.]+ dB"),
        ({"target_ssim": 0.99999}, "best possible, short of --lossless, is 0.9[0-9]+"),
    ],
)
def test_unreachable_target_error_gives_the_closest_value(photo, target, words):
    with pytest.raises(codec.LimitExceeded, match=words):
        codec.compress(photo(96, 64), effort=0, **target)


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("50kB", 50_000), ("48KiB", 49_152), ("1.5MB", 1_500_000), ("777", 777), ("9 k", 9000)],
)
def test_sizes_are_parsed(text, n_bytes):
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize("text", ["", "kB", "-5", "1e3", "5 parsecs", "0x10", "nan"])
def test_bad_sizes_are_refused(text):
    with pytest.raises(codec.UsageError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("size", 0), ("bpp", 0), ("psnr", float("nan")), ("ssim", 1), ("ssim", True), ("psnr", "36")],
)
def test_targets_out_of_range_are_refused(kind, value):
    with pytest.raises(codec.UsageError, match=f"target_{kind} must be"):
        Target(kind, value)


def test_targets_exclude_each_other_and_lossless(photo):
    with pytest.raises(codec.UsageError, match="exclude each other"):
        only_target(5000, None, 36, None)
    with pytest.raises(codec.UsageError, match="lossless"):
        codec.Encoder(lossless=True, target_psnr=36)
