from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.model.lapped_filter import dct2, dct4
from codec.networks.layers import Window, filter_matrix, lap, unlap

SIZES = [(16, 16), (16, 48), (64, 16), (32, 32), (160, 96)]


def noise(height, width, seed=0):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n", [2, 8, 16])
@pytest.mark.parametrize("dct", [dct2, dct4])
def test_dct_is_orthonormal(dct, n):
    matrix = dct(n)
    assert np.abs(matrix @ matrix.T - np.eye(n)).max() < 1e-12


def test_dct_values():
    root = np.sqrt(0.5)
    assert np.allclose(dct2(2), [[root, root], [root, -root]], atol=1e-15)
    assert np.allclose(dct2(8)[0], np.sqrt(1 / 8), atol=1e-15)
    eighth = np.pi / 8
    assert np.allclose(
        dct4(2), [[np.cos(eighth), np.sin(eighth)], [np.sin(eighth), -np.cos(eighth)]], atol=1e-15
    )


def test_filter_is_orthonormal():
    matrix = filter_matrix().double()
    assert (matrix @ matrix.T - torch.eye(16)).abs().max() < 1e-6
    # A filter that does nothing would be orthonormal too.
    assert (matrix - torch.eye(16)).abs().max() > 0.1


@pytest.mark.parametrize("size", SIZES)
def test_inverse_and_energy(size):
    x = noise(*size)
    y = lap(x)
    assert y.shape == x.shape
    assert (unlap(y) - x).abs().max() < 5e-6
    assert (lap(unlap(x)) - x).abs().max() < 5e-6
    assert y.square().sum() == pytest.approx(float(x.square().sum()), rel=1e-5)


def test_unlap_is_the_transpose():
    x, y = noise(48, 64, 1), noise(48, 64, 2)
    assert float((lap(x) * y).sum()) == pytest.approx(float((x * unlap(y)).sum()), abs=1e-3)


def test_single_block_is_unchanged():
    x = noise(16, 16)
    assert torch.equal(lap(x), x)
    assert torch.equal(unlap(x), x)


def test_rim_is_unchanged():
    x = noise(48, 64)
    changed = lap(x) != x
    for rows in (slice(0, 8), slice(-8, None)):
        for columns in (slice(0, 8), slice(-8, None)):
            assert not changed[..., rows, columns].any()
    only_columns = lap(noise(16, 64))
    assert torch.equal(only_columns[..., :8], noise(16, 64)[..., :8])
    assert changed[..., 8:-8, 8:-8].float().mean() > 0.99


def test_sample_affects_only_its_window():
    x = noise(48, 64)
    moved = x.clone()
    moved[..., 20, 30] += 1
    reached = (lap(moved) - lap(x)).abs().amax((0, 1)) > 1e-6
    rows, columns = np.nonzero(reached.numpy())
    assert rows.min() >= 8
    assert rows.max() < 24
    assert columns.min() >= 24
    assert columns.max() < 40


def test_flat_stays_flat():
    x = torch.full((1, 3, 64, 48), 0.37)
    assert (lap(x) - x).abs().max() < 1e-6


def test_filter_decorrelates_across_block_boundaries():
    """Blocks of a smooth picture that are coded by their means have smaller steps with the filter."""
    ramp = torch.linspace(0, 1, 128).expand(1, 1, 16, 128)

    def means(x):
        return x.unflatten(3, (8, 16)).mean(-1, keepdim=True).expand(-1, -1, -1, -1, 16).flatten(3)

    plain = (means(ramp) - ramp)[..., 8:-8].square().mean()
    lapped = (unlap(means(lap(ramp))) - ramp)[..., 8:-8].square().mean()
    assert lapped < 0.7 * plain


def test_learned_window_is_symmetric_and_preserves_flat_areas():
    window = Window(filter_matrix())
    with torch.no_grad():
        window.matrix += 0.1 * torch.randn(16, 16, generator=torch.Generator().manual_seed(1))
    disturbed = window.matrix.detach().clone()
    window.project()
    matrix = window.matrix.detach()
    assert torch.allclose(matrix, matrix.flip(0, 1), atol=1e-6)
    assert torch.allclose(matrix.sum(1), torch.ones(16), atol=1e-6)
    assert 0.01 < (matrix - disturbed).abs().max() < 0.5
    x = torch.full((1, 3, 64, 48), 0.37)
    assert (unlap(x, matrix) - x).abs().max() < 1e-6
    again = matrix.clone()
    window.project()
    assert torch.allclose(window.matrix.detach(), again, atol=1e-7)


def test_initial_window_is_the_fixed_filter():
    x = noise(48, 64)
    forth, back = Window(filter_matrix()), Window(filter_matrix().T)
    forth.project()
    back.project()
    assert torch.allclose(lap(x, forth.matrix), lap(x), atol=1e-5)
    assert torch.allclose(unlap(x, back.matrix), unlap(x), atol=1e-5)
