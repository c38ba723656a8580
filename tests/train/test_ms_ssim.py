from __future__ import annotations

import pytest
import torch

from codec.train.loss import ms_ssim


@pytest.mark.parametrize("size", [(192, 192), (176, 240)])
def test_values_and_gradients_match_the_library(size):
    library = pytest.importorskip("pytorch_msssim", reason="the extra `bench` is not installed")
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(2, *size, generator=generator)
    y = x + torch.tensor([0.02, 0.2])[:, None, None] * torch.randn(2, *size, generator=generator)
    ours, theirs = y.clone().requires_grad_(), y.clone().requires_grad_()
    value = ms_ssim(ours, x)
    expected = library.ms_ssim(theirs[:, None], x[:, None], data_range=1.0, size_average=False)
    value.sum().backward()
    expected.sum().backward()
    assert value.tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-3 * float(theirs.grad.abs().max()))


def test_equal_planes_have_similarity_one():
    x = torch.rand(3, 192, 192, generator=torch.Generator().manual_seed(1))
    assert ms_ssim(x, x).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
