from __future__ import annotations

import pytest
import torch

pytest.importorskip("compressai", reason="the extra `train` is not installed: no compressai")

from codec.model.config import ModelConfig
from codec.train.loss import draw_rates, lmbda_of, loss_of, rate_distortion
from codec.train.model import Output


def test_rates_fill_their_bands():
    rates = torch.stack([draw_rates(16, torch.Generator().manual_seed(i)) for i in range(300)])
    band = torch.arange(16) % 8
    assert (rates >= (band - 0.5).clamp(min=0)).all()
    assert (rates <= (band + 0.5).clamp(max=7)).all()
    spread = rates.amax(0) - rates.amin(0)
    assert (spread[1:7] > 0.95).all()
    assert torch.equal(
        draw_rates(8, torch.Generator().manual_seed(1)), draw_rates(8, torch.Generator().manual_seed(1))
    )


def test_lmbda_of_rates():
    config = ModelConfig()
    rates = torch.tensor([0.0, 2.5, 7.0])
    expected = [config.lmbda(0), config.lmbda(2.5), config.lmbda(7)]
    assert lmbda_of(config, rates).tolist() == pytest.approx(expected, rel=1e-5)


def test_loss_by_hand():
    x = torch.zeros(2, 3, 4, 4)
    off = torch.tensor([0.1, 0.2])[:, None, None, None]
    bpp, mse = rate_distortion(Output(x + off, torch.tensor([16.0, 32]), torch.tensor([0.0, 16])), x)
    assert bpp.tolist() == pytest.approx([1, 3])
    assert mse.tolist() == pytest.approx([0.01, 0.04])
    expected = ((1 + 0.01 * 65025 * 0.01) / 0.1 + (3 + 0.04 * 65025 * 0.04) / 0.2) / 2
    assert float(loss_of(bpp, mse, torch.tensor([0.01, 0.04]))) == pytest.approx(expected, rel=1e-5)
