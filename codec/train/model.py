"""The trainable model: float networks, fake-quantised scales, compressai's entropy models for the rate."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from codec.bitstream.quality import RATE_POINTS
from codec.entropy.steps import STEPS
from codec.model.config import SCALE_LOG_STEP, SCALE_MIN, ModelConfig
from codec.model.network import Network
from codec.model.quadtree import step_masks
from codec.model.quantiser import dead_zone, quantise
from codec.model.straight_through import round_through

from .entropy_models import EntropyBottleneck, GaussianConditional
from .fake_quantised import FakeQuantisedScale
from .lookup import lookup


@dataclasses.dataclass
class Output:
    """What one forward pass yields.

    Attributes:
        x_hat: reconstruction, float [B, 3, H, W], not clipped.
        bits_y: bits of the latent per sample, [B].
        bits_z: bits of the hyper-latent per sample, [B].
    """

    x_hat: Tensor
    bits_y: Tensor
    bits_z: Tensor


@dataclasses.dataclass
class Symbols:
    """Integers of one pass: what a file would hold.

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
    """Rate and distortion of a batch whose samples come around rate points 0..10, repeated.

    The hyper-latent has one learned density per rate point and channel: what it costs at a low rate is then
    not set by what is worth sending at a high one.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Network(config)
        self.scale = FakeQuantisedScale(config)
        self.density = EntropyBottleneck(RATE_POINTS * config.h, init_scale=4.0)
        # Quantiles serve compressai's own tables; ours come from counts (tables.py).
        self.density.quantiles.requires_grad_(False)
        self.conditional = GaussianConditional(None, scale_bound=SCALE_MIN)
        self.register_buffer("threshold", dead_zone(), persistent=False)
        self.threshold: Tensor
        self._masks: dict[tuple[int, int], Tensor] = {}

    def masks(self, like: Tensor) -> Tensor:
        """Step masks for a latent's size, kept between calls; float [4, M, h, w]."""
        height, width = like.shape[-2:]
        if (height, width) not in self._masks:
            self._masks[height, width] = step_masks(self.config.m, height, width)
        return self._masks[height, width].to(like)

    def quantise(self, y: Tensor, z: Tensor, rate_point: Tensor) -> tuple[Symbols, Tensor]:
        """Run the entropy side: y scaled [B, M, h, w], z not yet rounded -> symbols and mu [B, M, h, w]."""
        z_hat = round_through(z)
        features = self.network.h_s_mean(z_hat, rate_point)
        # In float32 whatever the rest runs in: bf16 would not hold the integers that the codec will see.
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
            # A diverged run gives no number; the guard after the gradients deals with it, no index error.
            index = scale_index.detach().nan_to_num(0).long()
            coded = (index > 0).to(y)
            threshold = self.threshold[index]
            lean = lookup(self.network.lean, index)
            mu = self.network.context(step, features, y_hat).float()
            r = quantise((y - mu).detach(), threshold) * coded
            # Straight through: the value is mu and the reconstruction point, the gradient goes to y as if
            # nothing were rounded, and to the lean.
            new = (y + (mu + r - y).detach() + r.sign() * lean) * masks[step]
            y_hat = y_hat + new
            mu_all = mu_all + mu * masks[step]
            residual = residual + r * masks[step]
            scale_all = scale_all + scale_index * masks[step]
        return Symbols(z_hat, residual, scale_all, y_hat), mu_all

    def forward(self, x: Tensor, rate_point: Tensor) -> Output:
        """Run a training pass. x: float [B, 3, H, W] in [0, 1], rate_point: [B], sample i near i mod 11."""
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
