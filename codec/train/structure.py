"""MS-SSIM of single planes for the loss (Wang, Simoncelli and Bovik 2003).

Blurs are matrix products: convolutions of one channel would take a fifth of a training step on a CPU. A test
compares values and gradients with pytorch-msssim.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS, DEVIATION = 11, 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
C1, C2 = 0.01**2, 0.03**2
# Where a power has a finite slope still.
LEAST = 1e-4


@functools.cache
def _band(size: int) -> Tensor:
    """Gaussian window at each place where it fits, [size, size - TAPS + 1]."""
    window = torch.exp(-((torch.arange(TAPS) - TAPS // 2) ** 2) / (2 * DEVIATION**2))
    window /= window.sum()
    places = size - TAPS + 1
    band = torch.zeros(size, places)
    for place in range(places):
        band[place : place + TAPS, place] = window
    return band


def blur(planes: Tensor) -> Tensor:
    """Gaussian means [..., H - 10, W - 10] of planes [..., H, W], where the whole window fits."""
    rows, columns = (_band(size).to(planes) for size in planes.shape[-2:])
    return rows.T @ (planes @ columns)


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """MS-SSIM [B] of planes a and b, [B, H, W] in [0, 1], sides at least 176; 1 where they are equal."""
    product = torch.ones(len(a), device=a.device)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        blurred = blur(torch.stack([a, b, a.square() + b.square(), a * b]))
        mean_a, mean_b, square, cross = blurred
        squares, both = mean_a.square() + mean_b.square(), 2 * mean_a * mean_b
        similarity = (2 * cross - both + C2) / (square - squares + C2)
        if scale == len(SCALE_WEIGHTS) - 1:
            similarity = similarity * (both + C1) / (squares + C1)
        product = product * similarity.mean((1, 2)).clamp(min=LEAST) ** weight
        a, b = (F.avg_pool2d(plane[:, None], 2)[:, 0] for plane in (a, b))
    return product
