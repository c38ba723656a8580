"""The perceptual error of the loss: values of its colour space, and its response to damage."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from codec.train.loss import linear_light, perceptual_error, xyb

SIDE = 176


@pytest.fixture(scope="module")
def picture(photo):
    """A photo, float [1, 3, 176, 176] in [0, 1]."""
    return torch.from_numpy(photo(SIDE, SIDE).copy()).permute(2, 0, 1)[None] / 255


def noise(channels=3, seed=1):
    return torch.randn(1, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def blurred(x, radius):
    """Return means over squares of 2 * radius + 1 pixels, with repeated edges."""
    return F.avg_pool2d(F.pad(x, [radius] * 4, mode="replicate"), 2 * radius + 1, 1)


def ringing(x, strength):
    """Return the picture with overshoot at edges, like that of coarse quantisation."""
    return (x + strength * (x - blurred(x, 2))).clamp(0, 1)


def error(x_hat, x):
    return float(perceptual_error(x_hat, x).detach())


def test_linear_light_values():
    x = torch.tensor([-1.0, 0, 0.02, 0.04045, 0.5, 1, 2])
    expected = [0, 0, 0.02 / 12.92, 0.04045 / 12.92, 0.21404, 1, 1]
    assert linear_light(x).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("linear", "expected"),
    [
        ((0, 0, 0), (0.42, 0.01, 0.55)),
        # Cube roots of 1.0037931 and 0.5037931, minus that of 0.0037931, which is 0.1559542.
        ((1, 1, 1), (0.42, 0.855308, 0.55)),
        ((0.5, 0.5, 0.5), (0.42, 0.649748, 0.55)),
        # Cube roots of 0.3037931, 0.2337931 and 0.2472158, minus the same.
        ((1, 0, 0), (0.813401, 0.498188, 0.533471)),
    ],
)
def test_xyb_values(linear, expected):
    found = xyb(torch.tensor(linear, dtype=torch.float32)[None, :, None, None])
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_equal_pictures_have_no_error(picture):
    for x in (picture, torch.zeros_like(picture), torch.ones_like(picture), noise().clamp(0, 1)):
        assert error(x, x) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    "damage",
    [
        lambda x, n: (x + 0.02 * n * noise()).clamp(0, 1),
        blurred,
        lambda x, n: ringing(x, 0.3 * n),
        lambda x, n: (x * (8 - n)).round() / (8 - n),
        lambda x, n: (x + 0.03 * n).clamp(0, 1),
    ],
    ids=["noise", "blur", "ringing", "banding", "brighter"],
)
def test_grows_with_damage(picture, damage):
    errors = [error(damage(picture, n), picture) for n in (1, 2, 4)]
    assert errors[0] > 1e-4
    assert errors == sorted(set(errors))


def test_turned_and_mirrored_pictures_have_the_same_error(picture):
    bad = (picture + 0.05 * noise()).clamp(0, 1)
    plain = error(bad, picture)
    for turn in (lambda x: x.flip(3), lambda x: x.flip(2), lambda x: x.transpose(2, 3)):
        assert error(turn(bad), turn(picture)) == pytest.approx(plain, rel=1e-4)


def test_pictures_of_a_batch_do_not_mix(picture):
    x = torch.cat([picture, picture.flip(1), 1 - picture])
    x_hat = torch.cat([picture, blurred(x[1:2], 2), (x[2:] + 0.05 * noise()).clamp(0, 1)])
    alone = [error(x_hat[i : i + 1], x[i : i + 1]) for i in range(3)]
    assert perceptual_error(x_hat, x).tolist() == pytest.approx(alone, rel=1e-3, abs=1e-5)


def test_luma_noise_counts_more_than_chroma_noise(picture):
    x = 0.25 + picture / 2
    gray = noise(1).expand(1, 3, SIDE, SIDE)
    colour = noise(1) * torch.tensor([1.0, -0.5, -0.5])[:, None, None]
    colour = colour * (gray.square().mean() / colour.square().mean()).sqrt()
    assert error(x + 0.02 * gray, x) > 1.5 * error(x + 0.02 * colour, x)


def test_texture_masks_noise():
    smooth = torch.full((1, 3, SIDE, SIDE), 0.5)
    texture = smooth + 0.15 * noise(1, seed=2).clamp(-3, 3)
    assert error(smooth + 0.03 * noise(1), smooth) > 2 * error(texture + 0.03 * noise(1), texture)


@pytest.mark.parametrize("level", [0.0, 1.0, 0.5])
def test_flat_pictures_have_finite_gradients(level):
    x = torch.full((2, 3, SIDE, SIDE), level)
    x_hat = x.clone()
    x_hat[1] += 0.1 * noise()[0]
    x_hat.requires_grad_()
    perceptual_error(x_hat, x).sum().backward()
    assert torch.isfinite(x_hat.grad).all()
    assert x_hat.grad[1].abs().sum() > 0


def test_descent_on_it_restores_a_picture(picture):
    x_hat = blurred(picture, 1).requires_grad_()
    before = error(x_hat, picture)
    optimiser = torch.optim.Adam([x_hat], lr=0.02)
    for _ in range(6):
        optimiser.zero_grad()
        perceptual_error(x_hat, picture).sum().backward()
        optimiser.step()
    assert error(x_hat, picture) < 0.8 * before
