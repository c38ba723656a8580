"""The classical VAE: closed-form KL, reproducible training and sampling, and it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.errors import UsageError, WeightsError
from codec.train.classical_trainer import train_classical
from codec.vae.classical import ClassicalVae, kl_to_standard_normal


def bars(count, seed=0):
    """Return 8x8 pictures of one bright row or column."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((count, 8, 8), np.uint8)
    for picture in pictures:
        place = rng.integers(0, 8)
        picture[(place, slice(None)) if rng.integers(0, 2) else (slice(None), place)] = 255
    return pictures


@pytest.fixture(scope="module")
def vae():
    return train_classical(bars(512), latent=4, epochs=60)


def test_kl_matches_torch():
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    q = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    p = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
    expected = torch.distributions.kl_divergence(q, p).sum(-1)
    assert torch.allclose(kl_to_standard_normal(mean, log_variance), expected, atol=1e-5)


def test_negative_elbo_is_lower_for_trained_patterns(vae):
    strange = np.random.default_rng(1).integers(0, 256, (50, 8, 8), np.uint8)
    assert vae.negative_elbo(bars(50, seed=9)).max() < vae.negative_elbo(strange).min()


def test_samples_are_reproducible_and_models_can_be_saved(vae, tmp_path):
    path = tmp_path / "vae.safetensors"
    path.write_bytes(vae.to_bytes())
    again = ClassicalVae.load(path)
    assert np.array_equal(vae.sample(5, seed=2), again.sample(5, seed=2))
    assert not np.array_equal(vae.sample(5, seed=2), vae.sample(5, seed=3))
    assert vae.latent_map(side=3).shape == (24, 24)


def test_imputation_keeps_known_pixels(vae):
    picture = bars(1, seed=4)[0]
    missing = np.zeros((8, 8), bool)
    missing[4:] = True
    filled = vae.impute(np.where(missing, 0, picture).astype(np.uint8), missing)
    assert np.array_equal(filled[:4], picture[:4])


def test_refusals(vae, tmp_path):
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="junk"):
        ClassicalVae.load(tmp_path / "junk.safetensors")
    with pytest.raises(UsageError, match="8x8"):
        vae.negative_elbo(np.zeros((1, 9, 8), np.uint8))
