from __future__ import annotations

import pytest
import torch

from codec.entropy.steps import STEPS
from codec.networks.layers import step_masks

SIZES = [(1, 1), (1, 5), (7, 1), (2, 2), (3, 7), (32, 32)]


@pytest.mark.parametrize("channels", [4, 12, 320])
@pytest.mark.parametrize("size", SIZES)
def test_every_element_has_one_step(channels, size):
    masks = step_masks(channels, *size)
    assert masks.shape == (STEPS, channels, *size)
    assert torch.equal(masks.sum(0), torch.ones(channels, *size, dtype=torch.int64))


@pytest.mark.parametrize("size", SIZES)
def test_every_step_codes_a_quarter_of_the_channels_everywhere(size):
    assert torch.equal(step_masks(12, *size).sum(1), torch.full((STEPS, *size), 3))


def test_order():
    """Steps of 2x2 positions, row by row, for channels 0 to 3; then they repeat."""
    steps = step_masks(8, 4, 4).int().argmax(0)
    expected = torch.tensor([[[0, 3], [2, 1]], [[3, 0], [1, 2]], [[2, 1], [0, 3]], [[1, 2], [3, 0]]])
    assert torch.equal(steps, expected.repeat(2, 2, 2))
