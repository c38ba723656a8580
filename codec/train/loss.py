"""The training objective: negative ELBO in bits per pixel, with structural and perceptual shares.

Blurs are matrix products: convolutions of one channel would take a fifth of a training step on a CPU. A test
compares values and gradients of MS-SSIM with pytorch-msssim.

The perceptual error is computed in XYB, the colour space of JPEG XL (ISO/IEC 18181-1), in which equal steps
look about equally large. For each scale and channel it adds two errors: 1 - SSIM (Wang et al. 2004), and, as
in SSIMULACRA 2, the difference of local contrast between reconstruction and original (more: ringing or
blotches; less: blur). Chroma has less weight than luma. The pooling and weights of SSIMULACRA 2 are not used,
because it is a metric that judges the results.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from codec.bitstream.rate_index import MAX_RATE_INDEX, RATE_POINTS, STEP_UNITS
from codec.image.picture import BT601
from codec.model.config import ModelConfig

if TYPE_CHECKING:
    from codec.train.model import Output

# Gaussian window of SSIM: size and standard deviation.
TAPS, DEVIATION = 11, 1.5
# Weights of the scales of MS-SSIM (Wang, Simoncelli and Bovik 2003), finest first.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
C1, C2 = 0.01**2, 0.03**2
# Lower bound of the similarity of a scale, so that its power has a finite slope.
LEAST = 1e-4

# Constants of XYB.
ABSORBANCE = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095536),
)
BIAS = 0.0037930732552754493
# Factor and shifts that bring all three channels to a range of about 0..1; X is a small difference.
X_FACTOR, X_SHIFT, Y_SHIFT, B_SHIFT = 14.0, 0.42, 0.01, 0.55
# Weights of X, Y and B, of the scales (finest first), and of the contrast error.
CHANNEL_WEIGHTS = (0.15, 0.7, 0.15)
XYB_SCALE_WEIGHTS = (0.15, 0.25, 0.25, 0.2, 0.15)
EDGE_WEIGHT = 2.0
XYB_C2 = 0.03**2

PEAK_SQUARED = 255.0**2
# Squared error of 8-bit samples that has the weight of 1 - MS-SSIM = 1. It is about the ratio of the two on
# natural pictures at the same quality, so that a share moves weight between them and lmbda keeps its meaning.
STRUCTURE_UNIT = 1400.0
# Likewise for a perceptual error of 1.
PERCEPTUAL_UNIT = 1400.0


@functools.cache
def _band(size: int) -> Tensor:
    """Return the Gaussian window at each position where it fits, [size, size - TAPS + 1]."""
    window = torch.exp(-((torch.arange(TAPS) - TAPS // 2) ** 2) / (2 * DEVIATION**2))
    window /= window.sum()
    places = size - TAPS + 1
    band = torch.zeros(size, places)
    for place in range(places):
        band[place : place + TAPS, place] = window
    return band


def blur(planes: Tensor) -> Tensor:
    """Return Gaussian means, [..., H - 10, W - 10], of planes [..., H, W], where the whole window fits."""
    rows, columns = (_band(size).to(planes) for size in planes.shape[-2:])
    return rows.T @ (planes @ columns)


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the MS-SSIM [B] of planes a and b, [B, H, W] in [0, 1], sides at least 176; 1 if equal."""
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


def linear_light(x: Tensor) -> Tensor:
    """Invert the sRGB transfer function: x of any shape, clamped to [0, 1] -> linear light in [0, 1]."""
    x = x.clamp(0, 1)
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def xyb(linear: Tensor) -> Tensor:
    """Convert linear RGB [B, 3, H, W] in [0, 1] to XYB [B, 3, H, W], each channel about 0..1."""
    red, green, blue = linear.unbind(1)
    # BIAS > 0 keeps the slope of the root finite at black.
    long, middle, short = (
        (r * red + g * green + b * blue + BIAS) ** (1 / 3) - BIAS ** (1 / 3) for r, g, b in ABSORBANCE
    )
    y = (long + middle) / 2
    x = (long - middle) / 2 * X_FACTOR + X_SHIFT
    return torch.stack([x, y + Y_SHIFT, short - y + B_SHIFT], 1)


def _scale_error(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean error of one scale, [B, 3]; a: original, b: reconstruction, XYB [B, 3, H, W]."""
    mean_a, mean_b, square, cross = blur(torch.stack([a, b, a.square() + b.square(), a * b]))
    squares, both = mean_a.square() + mean_b.square(), 2 * mean_a * mean_b
    contrast = (2 * cross - both + XYB_C2) / (square - squares + XYB_C2)
    unlike = 1 - (1 - (mean_a - mean_b).square()) * contrast
    inset = TAPS // 2
    inner_a, inner_b = (plane[..., inset:-inset, inset:-inset] for plane in (a, b))
    edges = (1 + (inner_b - mean_b).abs()) / (1 + (inner_a - mean_a).abs()) - 1
    error: Tensor = (unlike + EDGE_WEIGHT * edges.abs()).mean((2, 3))
    return error


def perceptual_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Return the perceptual error [B] of sRGB pictures [B, 3, H, W] in [0, 1]; 0 if equal.

    Sides are at least 176, so that a window fits into the last of five scales. Samples of x_hat outside
    [0, 1] are clamped and have no gradient.
    """
    a, b = linear_light(x), linear_light(x_hat)
    channels = a.new_tensor(CHANNEL_WEIGHTS)
    error = a.new_zeros(len(a))
    for weight in XYB_SCALE_WEIGHTS:
        error = error + weight * (_scale_error(xyb(a), xyb(b)) @ channels)
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return error


def draw_rate_points(count: int, generator: torch.Generator) -> Tensor:
    """Draw one rate point in 0..10 per sample, [count]: that of sample i is uniform within 0.5 of i mod 11.

    count: a multiple of 11.
    """
    point = torch.arange(count) % RATE_POINTS
    low = (point - 0.5).clamp(min=0)
    high = (point + 0.5).clamp(max=MAX_RATE_INDEX / STEP_UNITS)
    return low + (high - low) * torch.rand(count, generator=generator)


def lmbda_of(config: ModelConfig, rate_point: Tensor) -> Tensor:
    """Return `lmbda` at rate points [B], as `ModelConfig.lmbda` does at one."""
    span = torch.tensor(config.lmbda_max / config.lmbda_min).log()
    return config.lmbda_min * (span * rate_point / (RATE_POINTS - 1)).exp()


def bpp_of(output: Output, x: Tensor) -> Tensor:
    """Return the bits per pixel [B] of crops x [B, 3, H, W]."""
    return (output.bits_y + output.bits_z) / (x.shape[2] * x.shape[3])


def luma(x: Tensor) -> Tensor:
    """Return the luma [B, H, W] of RGB [B, 3, H, W]."""
    return torch.einsum("bchw,c->bhw", x, torch.tensor(BT601, device=x.device, dtype=x.dtype))


def distortion_of(
    x_hat: Tensor, x: Tensor, luma_share: float, structure_share: float, perceptual_share: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the distortion of the loss, [B], and the MSE over [0, 1] samples, [B].

    The distortion is in units of squared error of 8-bit samples. It is the MSE over red, green and blue,
    except for three shares: squared error of luma; 1 - MS-SSIM of luma (Wang, Simoncelli and Bovik 2003)
    times `STRUCTURE_UNIT`; and the perceptual error over scales times `PERCEPTUAL_UNIT`.
    """
    mse = (x_hat - x).square().mean((1, 2, 3))
    plain = 1 - luma_share - structure_share - perceptual_share
    distortion = plain * PEAK_SQUARED * mse
    if luma_share or structure_share:
        y, y_hat = luma(x), luma(x_hat)
    if luma_share:
        distortion = distortion + luma_share * PEAK_SQUARED * (y_hat - y).square().mean((1, 2))
    if structure_share:
        unlike = 1 - ms_ssim(y_hat, y)
        distortion = distortion + structure_share * STRUCTURE_UNIT * unlike
    if perceptual_share:
        distortion = distortion + perceptual_share * PERCEPTUAL_UNIT * perceptual_error(x_hat, x)
    return distortion, mse


def loss_of(bpp: Tensor, distortion: Tensor, lmbda: Tensor) -> Tensor:
    """Return the mean of (bpp + lmbda * distortion) / sqrt(lmbda); the root balances low and high rates."""
    return ((bpp + lmbda * distortion) * lmbda.rsqrt()).mean()
