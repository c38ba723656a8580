"""A perceptual error over scales in XYB for the loss: structure, and edges that appear or vanish.

The colour space is that of JPEG XL (ISO/IEC 18181-1), in which equal steps look about equally large. On each
scale and channel, two errors are averaged: 1 - SSIM (Wang et al. 2004), and how far the local contrast of the
reconstruction exceeds that of the original (ringing, blotches) or falls short of it (blur), after
SSIMULACRA 2. Chroma counts less than luma. The pooling and weights of SSIMULACRA 2, a judge of results, are
not used.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .structure import TAPS, blur

ABSORBANCE = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095536),
)
BIAS = 0.0037930732552754493
# X is a small difference of nearly equal responses; these bring all three channels to a range of about 0..1.
X_FACTOR, X_SHIFT, Y_SHIFT, B_SHIFT = 14.0, 0.42, 0.01, 0.55
CHANNEL_WEIGHTS = (0.15, 0.7, 0.15)
SCALE_WEIGHTS = (0.15, 0.25, 0.25, 0.2, 0.15)
EDGE_WEIGHT = 2.0
C2 = 0.03**2


def linear_light(x: Tensor) -> Tensor:
    """Undo the sRGB transfer function: x of any shape, clamped to [0, 1] -> linear light in [0, 1]."""
    x = x.clamp(0, 1)
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def xyb(linear: Tensor) -> Tensor:
    """XYB [B, 3, H, W], each channel about 0..1, of linear RGB [B, 3, H, W] in [0, 1]."""
    red, green, blue = linear.unbind(1)
    # BIAS is above 0 and keeps the slope of the root finite at black.
    long, middle, short = (
        (r * red + g * green + b * blue + BIAS) ** (1 / 3) - BIAS ** (1 / 3) for r, g, b in ABSORBANCE
    )
    y = (long + middle) / 2
    x = (long - middle) / 2 * X_FACTOR + X_SHIFT
    return torch.stack([x, y + Y_SHIFT, short - y + B_SHIFT], 1)


def _scale_error(a: Tensor, b: Tensor) -> Tensor:
    """Mean error [B, 3] of one scale; a: original, b: reconstruction, XYB [B, 3, H, W]."""
    mean_a, mean_b, square, cross = blur(torch.stack([a, b, a.square() + b.square(), a * b]))
    squares, both = mean_a.square() + mean_b.square(), 2 * mean_a * mean_b
    contrast = (2 * cross - both + C2) / (square - squares + C2)
    unlike = 1 - (1 - (mean_a - mean_b).square()) * contrast
    inset = TAPS // 2
    inner_a, inner_b = (plane[..., inset:-inset, inset:-inset] for plane in (a, b))
    edges = (1 + (inner_b - mean_b).abs()) / (1 + (inner_a - mean_a).abs()) - 1
    error: Tensor = (unlike + EDGE_WEIGHT * edges.abs()).mean((2, 3))
    return error


def perceptual_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Perceptual error [B] of sRGB pictures [B, 3, H, W] in [0, 1]; about 0 where they are equal.

    Sides are at least 176: the last of five scales holds one window still. Samples of x_hat beyond [0, 1]
    count as clamped and have no gradient.
    """
    a, b = linear_light(x), linear_light(x_hat)
    channels = a.new_tensor(CHANNEL_WEIGHTS)
    error = a.new_zeros(len(a))
    for weight in SCALE_WEIGHTS:
        error = error + weight * (_scale_error(xyb(a), xyb(b)) @ channels)
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return error
