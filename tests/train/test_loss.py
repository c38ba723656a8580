from __future__ import annotations

import pytest
import torch

pytest.importorskip("codec.train.model", reason="needs compressai: see README, Training")

from codec.model.config import ModelConfig
from codec.train.loss import bpp_of, distortion_of, draw_rate_points, lmbda_of, loss_of, perceptual_error
from codec.train.model import Output


def test_rates_fill_their_bands():
    rate_points = torch.stack([draw_rate_points(22, torch.Generator().manual_seed(i)) for i in range(300)])
    point = torch.arange(22) % 11
    assert (rate_points >= (point - 0.5).clamp(min=0)).all()
    assert (rate_points <= (point + 0.5).clamp(max=10)).all()
    spread = rate_points.amax(0) - rate_points.amin(0)
    assert (spread[1:10] > 0.95).all()
    assert torch.equal(
        draw_rate_points(11, torch.Generator().manual_seed(1)),
        draw_rate_points(11, torch.Generator().manual_seed(1)),
    )


def test_lmbda_of_rates():
    config = ModelConfig()
    rate_points = torch.tensor([0.0, 2.5, 10.0])
    expected = [config.lmbda(0), config.lmbda(2.5), config.lmbda(10)]
    assert lmbda_of(config, rate_points).tolist() == pytest.approx(expected, rel=1e-5)


def test_loss_value():
    x = torch.zeros(2, 3, 4, 4)
    x_hat = x + torch.tensor([0.1, 0.2])[:, None, None, None]
    bpp = bpp_of(Output(x_hat, torch.tensor([16.0, 32]), torch.tensor([0.0, 16])), x)
    distortion, mse = distortion_of(x_hat, x, 0, 0)
    assert bpp.tolist() == pytest.approx([1, 3])
    assert mse.tolist() == pytest.approx([0.01, 0.04])
    assert distortion.tolist() == pytest.approx([650.25, 2601])
    expected = ((1 + 0.01 * 65025 * 0.01) / 0.1 + (3 + 0.04 * 65025 * 0.04) / 0.2) / 2
    assert float(loss_of(bpp, distortion, torch.tensor([0.01, 0.04]))) == pytest.approx(expected, rel=1e-5)


def test_luma_share_weighs_green_more_than_blue():
    x = torch.full((2, 3, 4, 4), 0.5)
    x_hat = x.clone()
    x_hat[0, 1] += 0.1
    x_hat[1, 2] += 0.1
    distortion, mse = distortion_of(x_hat, x, 0.25, 0)
    plain = 0.75 * 65025 * 0.01 / 3
    green, blue = (0.25 * 65025 * (0.1 * weight) ** 2 for weight in (0.587, 0.114))
    assert distortion.tolist() == pytest.approx([plain + green, plain + blue], rel=1e-4)
    assert mse.tolist() == pytest.approx([0.01 / 3] * 2, rel=1e-4)


def test_structure_share_prefers_noise_in_texture():
    noise = 0.03 * torch.randn(1, 1, 192, 192, generator=torch.Generator().manual_seed(1))
    texture = 0.2 * torch.randn(1, 1, 192, 192, generator=torch.Generator().manual_seed(2))
    smooth = torch.full((1, 3, 192, 192), 0.5)
    x = torch.cat([smooth, smooth + texture])
    distortion, mse = distortion_of(x + noise, x, 0, 0.5)
    assert mse[0] == pytest.approx(float(mse[1]), rel=1e-3)
    assert distortion[0] > 2 * distortion[1]
    same, _ = distortion_of(x, x, 0, 0.5)
    assert same.tolist() == pytest.approx([0, 0], abs=1e-2)


def test_perceptual_share_of_the_distortion():
    generator = torch.Generator().manual_seed(1)
    x = torch.full((2, 3, 192, 192), 0.5)
    x_hat = x + torch.tensor([0.0, 0.05])[:, None, None, None] * torch.randn(x.shape, generator=generator)
    plain, mse = distortion_of(x_hat, x, 0, 0)
    whole, _ = distortion_of(x_hat, x, 0, 0, 1)
    mixed, same_mse = distortion_of(x_hat, x, 0, 0, 0.25)
    assert torch.equal(mse, same_mse)
    assert whole.tolist() == pytest.approx((1400 * perceptual_error(x_hat, x)).tolist(), rel=1e-5)
    assert mixed.tolist() == pytest.approx((0.75 * plain + 0.25 * whole).tolist(), rel=1e-4, abs=1e-2)
    assert whole[0] == pytest.approx(0, abs=1e-2)
    assert whole[1] > 1
