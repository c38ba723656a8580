"""Layers shared by the networks: lapped filter, convolution blocks, rate-dependent factors, quantiser."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.bitstream.rate_index import RATE_POINTS, STEP_UNITS
from codec.entropy.steps import STEPS, step_of
from codec.inference import scale_network
from codec.model.config import SLOPE
from codec.model.lapped_filter import BLOCK, HALF, filter_array


@functools.cache
def filter_matrix() -> Tensor:
    """Return the pre-filter [16, 16] of `filter_array` as a tensor."""
    # Made outside inference mode, or the cached tensor could not be used with gradients.
    with torch.inference_mode(False):
        return torch.from_numpy(filter_array().copy())


def _along(x: Tensor, matrix: Tensor, dim: int) -> Tensor:
    size = x.shape[dim]
    if size <= BLOCK:
        return x
    inner = x.narrow(dim, HALF, size - BLOCK)
    windows = inner.unflatten(dim, (size // BLOCK - 1, BLOCK))
    spec = "oi,bchni->bchno" if dim == 3 else "oi,bcniw->bcnow"
    filtered = torch.einsum(spec, matrix, windows).flatten(dim, dim + 1)
    return torch.cat([x.narrow(dim, 0, HALF), filtered, x.narrow(dim, size - HALF, HALF)], dim)


def lap(x: Tensor, matrix: Tensor | None = None) -> Tensor:
    """Apply the lapped filter to x [B, C, H, W], rows then columns; H and W are multiples of 16.

    The outer 8 samples at each edge are unchanged. matrix: [16, 16], for the samples around a boundary; None
    for `filter_array`.
    """
    matrix = filter_matrix().to(x) if matrix is None else matrix
    return _along(_along(x, matrix, 3), matrix, 2)


def unlap(x: Tensor, matrix: Tensor | None = None) -> Tensor:
    """Invert `lap`: columns then rows. matrix: [16, 16]; None for the transpose of `filter_array`."""
    matrix = filter_matrix().to(x).T if matrix is None else matrix
    return _along(_along(x, matrix, 2), matrix, 3)


class Window(nn.Module):
    """A learned lapped filter [16, 16] for the 16 samples around a block boundary.

    It is symmetric under mirroring and preserves constants; `project` enforces both.
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        # Contiguous: a fused optimiser reads its moments in memory order, and checkpoints store them so.
        self.matrix = nn.Parameter(start.clone(memory_format=torch.contiguous_format))

    @torch.no_grad()
    def project(self) -> None:
        """Project to the nearest filter with both properties; call after each optimiser step."""
        matrix = (self.matrix + self.matrix.flip(0, 1)) / 2
        self.matrix.copy_(matrix + (1 - matrix.sum(1, keepdim=True)) / BLOCK)


def act(x: Tensor) -> Tensor:
    """Apply the leaky ReLU, the only non-linearity of the float networks."""
    return F.leaky_relu(x, SLOPE)


class Bottleneck(nn.Module):
    """Residual block: 1x1 to half the channels, 3x3, 1x1 back. x: [B, C, H, W] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = nn.Conv2d(channels, half, 1)
        self.mix = nn.Conv2d(half, half, 3, padding=1)
        self.expand = nn.Conv2d(half, channels, 1)
        with torch.no_grad():
            self.expand.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        grown: Tensor = self.expand(act(self.mix(act(self.reduce(x)))))
        return x + grown


class Separable(nn.Module):
    """Depthwise 3x3 then 1x1, each followed by the activation. x: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return act(self.pointwise(act(self.depthwise(x))))


def trunk(channels: int, blocks: int) -> nn.Sequential:
    """Return a stack of residual blocks at one resolution."""
    return nn.Sequential(*(Bottleneck(channels) for _ in range(blocks)))


def interpolate(table: Tensor, rate_point: Tensor) -> Tensor:
    """Interpolate table [11, C] linearly at rate points [B] (float in 0..10): [B, C, 1, 1]."""
    low = rate_point.floor().clamp(0, RATE_POINTS - 2)
    fraction = (rate_point - low)[:, None]
    index = low.long()
    return torch.lerp(table[index], table[index + 1], fraction)[:, :, None, None]


def rate_point_tensor(rate_index: int) -> Tensor:
    """Return the rate point in 0..10, with its fraction, of a rate_index 0..2560 as a tensor [1]."""
    return torch.tensor([rate_index / STEP_UNITS])


class RateScale(nn.Module):
    """Multiply features x [B, C, H, W] by factors exp(v[rate_point]) per channel; initially the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(RATE_POINTS, channels))

    def forward(self, x: Tensor, rate_point: Tensor) -> Tensor:
        return x * interpolate(self.log_scale, rate_point).exp()


def dead_zone() -> Tensor:
    """Return scale_network.dead_zone as a tensor [64]."""
    return torch.from_numpy(scale_network.dead_zone())


def quantise(residual: Tensor, threshold: Tensor) -> Tensor:
    """Round residual = y - mu to integers, and to 0 below the threshold; both float, of one shape."""
    rounded = residual.round()
    return torch.where(residual.abs() < threshold, torch.zeros_like(rounded), rounded)


def reconstruct(r: Tensor, lean: Tensor) -> Tensor:
    """Return the reconstruction points r + sign(r) * lean (FORMAT.md, "Means"); both float, of one shape."""
    return r + r.sign() * lean


def step_masks(channels: int, height: int, width: int) -> Tensor:
    """Return masks of the elements of each coding step, bool [4, channels, height, width]."""
    step = torch.from_numpy(step_of(channels, height, width).copy())
    return torch.stack([step == k for k in range(STEPS)])
