"""Perceptual tuning: the error measure, and that files of equal size have less of that error."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import codec
from codec.encode.rdo.perceptual import PerceptualError, perceptual_shares, unmasked
from codec.image.picture import BT601
from codec.image.similarity import ssim
from codec.inference.weights import load_model
from codec.model.index import default_model_id
from codec.networks.layers import unlap


@pytest.fixture(scope="module")
def model():
    return load_model(default_model_id())


def linear_path(model, y):
    """Return the linear path of g_s on y [B, M, h, w], by torch: before and after the lapped filter."""
    linear, unpatch, window = (
        torch.tensor(model.arrays[f"g_s.{name}"])
        for name in ("linear.weight", "unpatch.weight", "unlap.matrix")
    )
    f = F.conv2d(F.pixel_shuffle(F.conv2d(y, linear), 2), unpatch)
    blocks = F.pixel_shuffle(f, 8)
    return blocks, unlap(blocks, window)


def test_perceptual_shares_match_the_pictures_of_single_latents(model):
    shares, channels = perceptual_shares(model), [0, 1, 7, 50, 200]
    assert shares.shape == (model.config.m,)
    assert shares.min() >= 0
    assert 0.1 < shares.max() < 1
    channels.append(int(shares.argmax()))
    y = torch.zeros(len(channels), model.config.m, 7, 7)
    for row, channel in enumerate(channels):
        y[row, channel, 3, 3] = 1
    blocks, x = linear_path(model, y)
    luma = (x * torch.tensor(BT601).reshape(3, 1, 1)).sum(1, keepdim=True)
    small = F.avg_pool2d(luma, 4)
    bell = torch.exp(-0.5 * (torch.arange(-5, 6) / 1.5) ** 2)
    window = torch.outer(bell, bell) / bell.sum() ** 2
    mean = F.conv2d(small, window[None, None], padding=5)
    structure = (small.square().sum((1, 2, 3)) - mean.square().sum((1, 2, 3))) * 16
    expected = 3 * structure / blocks.square().sum((1, 2, 3))
    torch.testing.assert_close(torch.tensor(shares[channels]), expected, rtol=1e-3, atol=1e-5)


def test_structure_masks_errors():
    flat = np.full((64, 64, 3), 99, np.uint8)
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    blocks = np.random.default_rng(3).integers(0, 256, (8, 8, 1), np.uint8).repeat(8, 0).repeat(8, 1)
    shown = [unmasked(part.repeat(3 // part.shape[2], 2), 4, 4) for part in (flat, ramp, blocks)]
    assert np.all(shown[0] == 1)
    assert shown[0].mean() > shown[1].mean() > shown[2].mean()
    assert shown[2].max() < 0.2
    assert unmasked(flat[:3, :17], 1, 2).tolist() == [[1.0, 1.0]]


def quarter(x):
    """Luma at a quarter of the size, as three equal channels."""
    return np.asarray(Image.fromarray(x).reduce(4).convert("L").convert("RGB"))


def test_errors_are_weighted_by_structure_and_masking():
    rng = np.random.default_rng(7)
    flat = np.full((64, 96, 3), 120, np.uint8)
    busy = rng.integers(0, 256, (16, 24, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    coarse = rng.standard_normal((16, 24, 1), np.float32).repeat(4, 0).repeat(4, 1).repeat(3, 2)
    fine = rng.standard_normal(flat.shape, np.float32)
    seen = PerceptualError(flat)
    # The variance of a window lacks the energy of its mean, about a sixteenth here, and some at the rims.
    assert seen(coarse) == pytest.approx(np.square(coarse).sum(), rel=0.15)
    assert seen(np.full_like(coarse, 3)) < 1e-3 * 9 * coarse.size
    assert seen(fine) < 0.1 * np.square(fine).sum()
    assert PerceptualError(busy)(coarse) < 0.2 * seen(coarse)
    assert float(seen(torch.from_numpy(coarse), torch.from_numpy)) == pytest.approx(float(seen(coarse)))


def test_perceptual_error_is_lower_at_equal_size(photo):
    x = photo(256, 192)
    plain = codec.compress(x, 40, effort=0)

    def wrong(data):
        assert len(data) <= len(plain)
        return 1 - ssim(quarter(x), quarter(np.asarray(codec.decompress(data))))

    tuned, sought = (
        wrong(codec.compress(x, 40, effort=effort, tune="visual", target_size=len(plain)))
        for effort in (0, 3)
    )
    # The networks were trained on a loss of which half is structure, so the gain is small.
    assert tuned < 0.98 * wrong(plain)
    assert sought < 0.95 * tuned


def test_bits_move_from_texture_to_smooth_areas(photo):
    x = photo(256, 128)
    x[:, 128:] = np.random.default_rng(5).integers(40, 210, (32, 32, 1), np.uint8).repeat(4, 0).repeat(4, 1)
    plain = codec.compress(x, 60, effort=1)
    tuned = codec.compress(x, 60, tune="visual", target_size=len(plain))
    errors = [
        np.square(quarter(np.asarray(codec.decompress(data))).astype(float) - quarter(x))
        for data in (plain, tuned)
    ]
    smooth, busy = (errors[1][:, part].mean() / errors[0][:, part].mean() for part in np.s_[:28, 36:])
    assert smooth < 0.95
    assert smooth < 0.98 * busy


def test_one_decision_without_gradients_and_lifted_tiles_unchanged(photo):
    x = photo(96, 64)
    files = [codec.compress(x, 50, effort=effort, tune="visual") for effort in (0, 1, 4)]
    assert files[0] == files[1] != files[2]
    spikes = np.zeros((64, 64, 3), np.uint8)
    spikes[5::13, 7::11] = 255
    for effort in (0, 2):
        data = codec.compress(spikes, 90, tune="visual", effort=effort)
        assert np.asarray(codec.decompress(data)).shape == spikes.shape
