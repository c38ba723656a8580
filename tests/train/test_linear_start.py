"""An untrained model is a lapped transform codec."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("codec.train.model", reason="needs compressai: see README, Training")

from codec.model.config import ModelConfig
from codec.train.model import COLOUR, TrainModel, apply_linear_start, patch_basis


@pytest.fixture(scope="module")
def pictures(photo):
    return torch.from_numpy(photo(320, 256).transpose(2, 0, 1).copy())[None]


def started(pictures, m):
    model = TrainModel(ModelConfig(c8=8, c16=8, m=m, h=4, hyper=8, blocks8=1, blocks16=1))
    apply_linear_start(model, pictures)
    with torch.no_grad():
        for layer in (model.network.g_a.out, model.network.g_s.out):
            layer.weight.zero_()
    return model.eval()


def psnr(x, x_hat):
    return float(-10 * (x - x_hat).square().mean().log10())


def test_patches_are_orthonormal():
    basis = patch_basis().reshape(192, 192).double()
    assert (basis @ basis.T - torch.eye(192)).abs().max() < 1e-6
    assert abs(COLOUR @ COLOUR.T - torch.eye(3).numpy()).max() < 1e-12


@torch.no_grad()
def test_all_channels_give_perfect_reconstruction(pictures):
    net = started(pictures, 768).network
    x = torch.rand(1, 3, 96, 80, generator=torch.Generator().manual_seed(0))
    for rate in (0.0, 3.3, 7.0):
        assert (net.g_s(net.g_a(x), torch.tensor([rate])) - x).abs().max() < 2e-5


@torch.no_grad()
def test_fewer_channels_reconstruct_photos(pictures):
    x = pictures.float() / 255
    net = started(pictures, 320).network
    best = psnr(x, net.g_s(net.g_a(x), torch.tensor([0.0])))
    net = started(pictures, 64).network
    fewer = psnr(x, net.g_s(net.g_a(x), torch.tensor([0.0])))
    assert best > 38
    assert 26 < fewer < best - 5


@torch.no_grad()
def test_gains_set_quantiser_steps(pictures):
    """Step sizes of two rates differ by the root of the ratio of their lmbda; gains are inverse."""
    model = started(pictures, 64)
    net, config = model.network, model.config
    y = net.g_a(pictures.float() / 255)
    for rate in (0.0, 4.0, 7.0):
        q = torch.tensor([rate])
        assert torch.allclose(net.unscale_latent(net.scale_latent(y, q), q), y, atol=1e-4)
    ratio = (net.gain[7] - net.gain[0]).exp()
    assert ratio.tolist() == pytest.approx([(config.lmbda(7) / config.lmbda(0)) ** 0.5] * 64, rel=1e-4)


@torch.no_grad()
def test_latents_are_decorrelated(pictures):
    net = started(pictures, 64).network
    y = net.g_a(pictures.float() / 255)[0].flatten(1).double()
    moments = y @ y.T / y.shape[1]
    deviation = moments.diagonal().sqrt()
    correlation = moments / (deviation[:, None] * deviation) - torch.eye(64)
    assert correlation.abs().max() < 0.05
    assert (deviation.diff() < 1e-4).all()
