"""The trainable model, with the entropy models of compressai for the rate.

`import compressai` loads data sets, a model zoo and point clouds, and with them torchvision, pandas and
torch_geometric, some of which do not load with every build of torch. EntropyBottleneck and
GaussianConditional need only torch, scipy and numpy. They are therefore imported below a stand-in for the
package that has its path and the two functions that they call, but none of its other imports. If compressai
has been imported before, it is used as it is.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from importlib.util import find_spec, module_from_spec

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.bitstream.rate_index import RATE_POINTS
from codec.entropy.steps import STEPS
from codec.inference.gradients import round_through
from codec.model.config import PATCH, PATCH_CHANNELS, SCALE_LOG_STEP, SCALE_MIN, ModelConfig
from codec.model.lapped_filter import dct2
from codec.networks.integer_scales import OFFSET_GAIN, FakeQuantisedScale, lookup
from codec.networks.layers import dead_zone, lap, quantise, step_masks
from codec.networks.network import Network

_PACKAGE = "compressai"


def _register_stand_in() -> None:
    """Register a stand-in for compressai. Raises ModuleNotFoundError if compressai is not installed."""
    spec = find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    parent = module_from_spec(spec)
    # Every entropy model creates a coder of compressai's own files, which training never runs.
    parent.get_entropy_coder = lambda: "ans"  # type: ignore[attr-defined]
    parent.available_entropy_coders = lambda: ["ans"]  # type: ignore[attr-defined]
    sys.modules[_PACKAGE] = parent


if _PACKAGE not in sys.modules:
    _register_stand_in()

from compressai.entropy_models import EntropyBottleneck, GaussianConditional  # noqa: E402

# Orthonormal luma and chroma axes close to the principal axes of RGB in natural pictures.
COLOUR = np.array(
    [
        [1 / math.sqrt(3)] * 3,
        [1 / math.sqrt(2), 0, -1 / math.sqrt(2)],
        [1 / math.sqrt(6), -2 / math.sqrt(6), 1 / math.sqrt(6)],
    ]
)
# Ratio of local to global standard deviations from which the scale network starts.
LOCAL_SHARE = 0.5


@dataclasses.dataclass
class Output:
    """The outputs of one forward pass.

    Attributes:
        x_hat: reconstruction, float [B, 3, H, W], not clipped.
        bits_y: bits of the latent of each picture, [B].
        bits_z: bits of the hyper-latent of each picture, [B].
    """

    x_hat: Tensor
    bits_y: Tensor
    bits_z: Tensor


@dataclasses.dataclass
class Symbols:
    """The symbols of one pass, as a file would hold them, and their reconstruction.

    Attributes:
        z: float integers [B, H, ., .].
        r: float integers [B, M, h, w], zero where scale_index is 0.
        scale_index: float integers [B, M, h, w] in 0..63.
        y_hat: float [B, M, h, w].
    """

    z: Tensor
    r: Tensor
    scale_index: Tensor
    y_hat: Tensor


class TrainModel(nn.Module):
    """Compute reconstruction and rate of a batch in which sample i is near rate point i mod 11.

    The hyper-latent has a learned density for each rate point and channel, so that its cost at low rates does
    not depend on its distribution at high rates.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Network(config)
        self.scale = FakeQuantisedScale(config)
        self.density = EntropyBottleneck(RATE_POINTS * config.h, init_scale=4.0)
        # Quantiles are for compressai's tables; those of vaezip come from counts (probability_tables.py).
        self.density.quantiles.requires_grad_(False)
        self.conditional = GaussianConditional(None, scale_bound=SCALE_MIN)
        self.register_buffer("threshold", dead_zone(), persistent=False)
        self.threshold: Tensor
        self._masks: dict[tuple[int, int], Tensor] = {}

    def masks(self, like: Tensor) -> Tensor:
        """Return the step masks for the size of a latent, cached: [4, M, h, w] with its dtype and device."""
        height, width = like.shape[-2:]
        if (height, width) not in self._masks:
            self._masks[height, width] = step_masks(self.config.m, height, width)
        return self._masks[height, width].to(like)

    def quantise(self, y: Tensor, z: Tensor, rate_point: Tensor) -> tuple[Symbols, Tensor]:
        """Quantise y, scaled, [B, M, h, w] and z, not rounded; return the symbols and mu [B, M, h, w]."""
        z_hat = round_through(z)
        features = self.network.h_s_mean(z_hat, rate_point)
        # Always in float32: bf16 cannot represent the integers of the scale network.
        with torch.autocast(y.device.type, enabled=False):
            start = self.scale.start(z_hat.float(), rate_point)
        masks = self.masks(y)
        mu_all = torch.zeros_like(y)
        y_hat = torch.zeros_like(y)
        residual = torch.zeros_like(y)
        scale_all = torch.zeros_like(y)
        for step in range(STEPS):
            with torch.autocast(y.device.type, enabled=False):
                scale_index = self.scale(step, start, residual)
            # If the run has diverged, indices are NaN; the check of the gradients handles that case.
            index = scale_index.detach().nan_to_num(0).long()
            coded = (index > 0).to(y)
            threshold = self.threshold[index]
            lean = lookup(self.network.lean, index)
            mu = self.network.context(step, features, y_hat).float()
            r = quantise((y - mu).detach(), threshold) * coded
            # Straight-through: the value is the reconstruction; gradients reach y as if it were not rounded,
            # and the lean.
            new = (y + (mu + r - y).detach() + r.sign() * lean) * masks[step]
            y_hat = y_hat + new
            mu_all = mu_all + mu * masks[step]
            residual = residual + r * masks[step]
            scale_all = scale_all + scale_index * masks[step]
        return Symbols(z_hat, residual, scale_all, y_hat), mu_all

    def forward(self, x: Tensor, rate_point: Tensor) -> Output:
        """Run a training pass. x: float [B, 3, H, W] in [0, 1]. rate_point: [B], sample i near i mod 11."""
        net, batch = self.network, x.shape[0]
        y = net.scale_latent(net.g_a(x).float(), rate_point)
        z = net.h_a(y).float()
        symbols, mu = self.quantise(y, z, rate_point)
        by_point = z.reshape(batch // RATE_POINTS, RATE_POINTS * self.config.h, *z.shape[2:])
        _, likelihood_z = self.density(by_point, training=True)
        sigma = SCALE_MIN * (symbols.scale_index * SCALE_LOG_STEP).exp()
        _, likelihood_y = self.conditional(y - mu, sigma, training=True)
        x_hat = net.g_s(net.unscale_latent(symbols.y_hat, rate_point), rate_point)
        bits_z = -likelihood_z.reshape(batch, -1).log2().sum(1)
        return Output(x_hat.float(), -likelihood_y.flatten(1).log2().sum(1), bits_z)


def patch_basis() -> Tensor:
    """Return orthonormal kernels [192, 3, 8, 8]: channel 64 c + 8 u + v is colour c, DCT frequency (u, v)."""
    dct = dct2(PATCH)
    basis = np.einsum("ck,ui,vj->cuvkij", COLOUR, dct, dct)
    return torch.from_numpy(basis.reshape(PATCH_CHANNELS, 3, PATCH, PATCH).astype(np.float32))


@torch.no_grad()
def apply_linear_start(model: TrainModel, pictures: Tensor) -> None:
    """Initialise the linear path (DCT, KLT), gains and scale offsets from pictures, uint8 [N, 3, H, W]."""
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
    # Pixel shuffle reads channels ordered channel * 64 + row * 8 + column, the order of the basis.
    net.g_s.unpatch.weight.copy_(basis.reshape(PATCH_CHANNELS, PATCH_CHANNELS).T[:, :, None, None])
    for layer in (net.g_a.out, net.g_s.out):
        layer.weight.mul_(0.1)
        layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
    deviation = variance[order].clamp(min=1e-12).sqrt().float()
    for point in range(RATE_POINTS):
        # A uniform quantiser of step d has error d^2 / 12; at this d its slope of rate is that of lmbda.
        step = math.sqrt(12 * 3 / (2 * math.log(2) * config.lmbda(point))) / 255
        net.gain[point] = -math.log(step)
        net.inverse_gain[point] = math.log(step)
        scale_index = (deviation * LOCAL_SHARE / step / SCALE_MIN).clamp(min=1e-3).log() / SCALE_LOG_STEP
        model.scale.offset[point] = scale_index.clamp(-4, 62) / OFFSET_GAIN
