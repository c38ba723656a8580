"""The encoder's Adam gives the same bits as torch.optim.Adam."""

from __future__ import annotations

import pytest
import torch

from codec.inference.gradients import Adam


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.3, 0.999), (0.9, 0.95)])
def test_same_steps_as_torch(betas):
    draws = torch.Generator().manual_seed(1)
    start, pull = torch.randn(2, 5, 7, 3, generator=draws)
    theirs, ours = start.clone().requires_grad_(), start.clone().requires_grad_()
    expected, adam = torch.optim.Adam([theirs], betas=betas), Adam(ours, betas)
    for step in range(30):
        rate = 0.1 / (1 + step)
        expected.param_groups[0]["lr"] = rate
        expected.zero_grad()
        for leaf in (theirs, ours):
            ((leaf - pull).abs() ** 1.5 * (step % 4)).sum().backward()
        expected.step()
        adam.step(rate)
        assert torch.equal(ours, theirs)
    assert (ours - start).abs().mean() > 0.1


def test_step_without_a_gradient_is_refused():
    with pytest.raises(ValueError, match=r"backward\(\)"):
        Adam(torch.zeros(3, requires_grad=True)).step(0.1)
