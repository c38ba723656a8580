from __future__ import annotations

import pytest
import torch

from codec.networks.layers import RateScale, interpolate

TABLE = torch.tensor([0.0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100])[:, None] * torch.tensor([1.0, -2.0])


def test_rows_at_rate_points():
    points = torch.arange(11.0)
    out = interpolate(TABLE, points)
    assert out.shape == (11, 2, 1, 1)
    assert torch.equal(out[:, :, 0, 0], TABLE)


@pytest.mark.parametrize(
    ("point", "value"), [(0.5, 0.5), (1.25, 1.75), (9.0, 81.0), (9.75, 95.25), (10.0, 100.0)]
)
def test_interpolation_between_rate_points(point, value):
    out = interpolate(TABLE, torch.tensor([point]))[0, :, 0, 0]
    assert out.tolist() == pytest.approx([value, -2 * value], rel=1e-6)


def test_each_sample_of_a_batch_has_its_own_rate():
    both = interpolate(TABLE, torch.tensor([6.5, 0.25]))
    assert both[:, 0, 0, 0].tolist() == pytest.approx([42.5, 0.25])


def test_scale_starts_as_identity():
    x = torch.randn(2, 5, 3, 4)
    assert torch.equal(RateScale(5)(x, torch.tensor([0.3, 10.0])), x)


def test_scale_multiplies_each_channel_by_its_factor():
    scale = RateScale(2)
    with torch.no_grad():
        scale.log_scale.copy_(TABLE / 10)
    out = scale(torch.ones(1, 2, 3, 3), torch.tensor([2.5]))
    assert out[0, 0].flatten().tolist() == pytest.approx([torch.tensor(0.65).exp().item()] * 9)
    assert out[0, 1].flatten().tolist() == pytest.approx([torch.tensor(-1.3).exp().item()] * 9)
