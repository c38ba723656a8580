"""Start the linear path as a transform codec: colour x DCT patches, then the KLT of 16x16 blocks."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.bitstream.quality import RATE_POINTS
from codec.model.config import PATCH, PATCH_CHANNELS, SCALE_LOG_STEP, SCALE_MIN
from codec.model.lapped import lap
from codec.model.lapped_matrix import dct2

from .fake_quantised import OFFSET_GAIN
from .model import TrainModel

# Orthonormal luma / chroma axes close to the principal axes of natural pictures' RGB.
COLOUR = np.array(
    [
        [1 / math.sqrt(3)] * 3,
        [1 / math.sqrt(2), 0, -1 / math.sqrt(2)],
        [1 / math.sqrt(6), -2 / math.sqrt(6), 1 / math.sqrt(6)],
    ]
)
# Local deviations are smaller than the global one: the start that the scale network refines.
LOCAL_SHARE = 0.5


def patch_basis() -> Tensor:
    """Orthonormal kernels [192, 3, 8, 8]: channel 64 * c + 8 * u + v is colour c, frequency (u, v)."""
    dct = dct2(PATCH)
    basis = np.einsum("ck,ui,vj->cuvkij", COLOUR, dct, dct)
    return torch.from_numpy(basis.reshape(PATCH_CHANNELS, 3, PATCH, PATCH).astype(np.float32))


@torch.no_grad()
def apply_linear_start(model: TrainModel, pictures: Tensor) -> None:
    """Initialise patches, KLT, gains and scale offsets from pictures, uint8 [N, 3, H, W]."""
    config, net = model.config, model.network
    basis = patch_basis()
    size = 4 * PATCH_CHANNELS
    covariance = torch.zeros(size, size, dtype=torch.float64)
    count = 0
    for picture in pictures:
        x = lap(picture[None].float() / 255 - 0.5)
        f = F.pixel_unshuffle(F.conv2d(x, basis, stride=PATCH), 2)[0].flatten(1).double()
        covariance += f @ f.T
        count += f.shape[1]
    variance, axes = torch.linalg.eigh(covariance / count)
    order = variance.argsort(descending=True)[: config.m]
    klt = axes[:, order].T.float()
    net.g_a.patch.weight.copy_(basis)
    net.g_a.linear.weight.copy_(klt[:, :, None, None])
    net.g_s.linear.weight.copy_(klt.T[:, :, None, None])
    # Pixel shuffle orders its inputs as channel * 64 + row * 8 + column, as the basis is laid out.
    net.g_s.unpatch.weight.copy_(basis.reshape(PATCH_CHANNELS, PATCH_CHANNELS).T[:, :, None, None])
    for layer in (net.g_a.out, net.g_s.out):
        layer.weight.mul_(0.1)
        layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
    deviation = variance[order].clamp(min=1e-12).sqrt().float()
    for point in range(RATE_POINTS):
        # A uniform quantiser of step d has error d^2 / 12; this d has the slope that lmbda asks for.
        step = math.sqrt(12 * 3 / (2 * math.log(2) * config.lmbda(point))) / 255
        net.gain[point] = -math.log(step)
        net.inverse_gain[point] = math.log(step)
        scale_index = (deviation * LOCAL_SHARE / step / SCALE_MIN).clamp(min=1e-3).log() / SCALE_LOG_STEP
        model.scale.offset[point] = scale_index.clamp(-4, 62) / OFFSET_GAIN
