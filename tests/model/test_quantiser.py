from __future__ import annotations

import pytest
import torch

from codec.networks.layers import dead_zone, quantise, reconstruct
from codec.networks.network import float_network


def test_dead_zone_by_scale_index():
    zone = dead_zone()
    assert zone.shape == (64,)
    assert zone[[0, 8, 12, 16, 63]].tolist() == pytest.approx([0.65, 0.65, 0.575, 0.5, 0.5])
    assert (zone.diff() <= 0).all()


def test_quantise_values():
    residual = torch.tensor([0.0, 0.49, 0.6, 0.7, -0.6, -0.7, 1.4, 1.6, -2.4, 1000.3])
    wide, plain = torch.full_like(residual, 0.65), torch.full_like(residual, 0.5)
    assert quantise(residual, wide).tolist() == [0, 0, 0, 1, 0, -1, 1, 2, -2, 1000]
    assert quantise(residual, plain).tolist() == [0, 0, 1, 1, -1, -1, 1, 2, -2, 1000]


def test_reconstruction_points():
    r = torch.tensor([-3.0, -1, 0, 1, 2])
    assert reconstruct(r, torch.full_like(r, -0.1)).tolist() == pytest.approx([-2.9, -0.9, 0, 0.9, 1.9])
    assert torch.equal(reconstruct(r, torch.zeros_like(r)), r)


def test_installed_reconstruction_points_are_near_the_integers(model):
    """Trained points lean towards the mean or slightly away from it, and never pass a neighbour."""
    assert float_network(model).lean.abs().max() < 0.5
