"""Reading a small table at many places, with a gradient that costs little.

Every forward value is what the exported integers give; gradients pass rounding straight through.
Units and bounds: FORMAT.md, "Scale network".
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.entropy.steps import STEPS
from codec.entropy.tables import Z_MAX
from codec.inference.gradients import floor_through, round_through
from codec.inference.graphs import ACTIVATION_MAX
from codec.inference.scale_network import SUM_LIMIT
from codec.model.config import ModelConfig, ScaleLayer
from codec.networks.layers import interpolate


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.size = len(table)
        return table[index]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (index,), (gradient,) = ctx.saved_tensors, gradients
        total = torch.bincount(index.flatten(), gradient.flatten(), ctx.size)
        return total.to(gradient), None


def lookup(table: Tensor, index: Tensor) -> Tensor:
    """`table` [N] at `index`, integers 0..N-1 of any shape.

    The gradient of plain indexing scatters one by one: a tenth of a training step on a CPU. Counting sums it.
    """
    read: Tensor = _Lookup.apply(table, index)  # type: ignore[no-untyped-call]
    return read


INDEX_UNITS = 16
# Parameters times these are weights and biases in integer units, so that one learning rate suits all layers.
INPUT_GAIN = 16.0
OFFSET_GAIN = 4.0


def magnitude_code(r: Tensor) -> Tensor:
    """Size of residuals on a scale of logarithms, 0..127 (FORMAT.md section 8.2). r: integers as float."""
    return torch.log2(1 + r.abs()).mul(16).floor().clamp(max=127)


def hidden_channels(config: ModelConfig) -> int:
    """Channels before the last layer of the scale network, which the scale context sees too."""
    layer = config.scale_layers[-2]
    return layer.out // 4 if layer.shuffle else layer.out


class FakeQuantisedConv(nn.Module):
    """One layer of the scale network. x: integers as float [B, I, h, w] -> the same [B, O, h', w']."""

    def __init__(self, inputs: int, layer: ScaleLayer, *, first: bool, last: bool) -> None:
        super().__init__()
        self.layer, self.last = layer, last
        self.gain = INPUT_GAIN if first else 1.0
        self.input_max = Z_MAX if first else ACTIVATION_MAX
        fan_in = inputs * layer.kernel**2
        spread = 0.1 * math.sqrt(1 / fan_in) if last else math.sqrt(2 / fan_in)
        self.weight = nn.Parameter(torch.randn(layer.out, inputs, layer.kernel, layer.kernel) * spread)
        self.bias = nn.Parameter(torch.zeros(layer.out))

    def integers(self) -> tuple[Tensor, Tensor]:
        """Weight [O, I, k, k] and bias [O] as integers in float32, straight-through for gradients."""
        unit = float(2**self.layer.shift)
        return round_through(self.weight * (self.gain * unit)), round_through(self.bias * (INPUT_GAIN * unit))

    @torch.no_grad()
    def enforce_bound(self) -> None:
        """Shrink rows whose accumulator could leave the range in which float32 sums are exact."""
        weight, bias = self.integers()
        total = weight.abs().sum((1, 2, 3)) * self.input_max + bias.abs()
        # The margin covers the half unit that rounding may add to each weight.
        row = weight[0].numel()
        factor = ((SUM_LIMIT - 1 - row * self.input_max) / total).clamp(max=1.0)
        self.weight.mul_(factor[:, None, None, None])
        self.bias.mul_(factor)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.integers()
        total = F.conv2d(x, weight, bias, padding=self.layer.kernel // 2)
        out = floor_through(total * 2.0**-self.layer.shift)
        if self.last:
            return out
        out = out.clamp(0, ACTIVATION_MAX)
        return F.pixel_shuffle(out, 2) if self.layer.shuffle else out


class FakeQuantisedScale(nn.Module):
    """Scale indices from the hyper-latent: what the shipped integer network will compute, bit for bit."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, layers = config.h, config.scale_layers
        self.layers = nn.ModuleList()
        for index, layer in enumerate(layers):
            self.layers.append(
                FakeQuantisedConv(channels, layer, first=index == 0, last=index == len(layers) - 1)
            )
            channels = layer.out // 4 if layer.shuffle else layer.out
        self.offset = nn.Parameter(torch.zeros(RATE_POINTS, config.m))

        self.context = nn.ModuleList(self._context(config) for _ in range(STEPS - 1))

    @staticmethod
    def _context(config: ModelConfig) -> nn.Sequential:
        layers = config.context_layers
        inputs = [config.m + hidden_channels(config), *(layer.out for layer in layers[:-1])]
        made = [
            FakeQuantisedConv(channels, layer, first=False, last=layer is layers[-1])
            for channels, layer in zip(inputs, layers, strict=True)
        ]
        with torch.no_grad():
            # Before it has learned anything a context changes nothing.
            made[-1].weight.zero_()
        return nn.Sequential(*made)

    def convolutions(self) -> list[FakeQuantisedConv]:
        """All layers."""
        return [layer for layers in self.stacks().values() for layer in layers]

    def stacks(self) -> dict[str, list[FakeQuantisedConv]]:
        """Layers in order, by the name that the weights file gives them: `scale` and `scale.context.{j}`."""
        found = {"scale": self.layers, **{f"scale.context.{j}": c for j, c in enumerate(self.context)}}
        return {
            name: [m for m in c.modules() if isinstance(m, FakeQuantisedConv)] for name, c in found.items()
        }

    def offset_integers(self) -> Tensor:
        """Offsets [11, M] in 1/16 of a scale index, integers as float."""
        return round_through(self.offset * (OFFSET_GAIN * INDEX_UNITS))

    def enforce_bounds(self) -> None:
        """Keep every layer exactly summable; call after each optimiser step."""
        for layer in self.convolutions():
            layer.enforce_bound()

    def start(self, z_hat: Tensor, rate_point: Tensor) -> tuple[Tensor, Tensor]:
        """Run what depends on z alone.

        z_hat: [B, H, ., .] -> hidden [B, C, h, w], 16 times the scale indices, with offset [B, M, h, w].
        """
        hidden = z_hat.clamp(-Z_MAX, Z_MAX)
        *before, last = self.layers
        for layer in before:
            hidden = layer(hidden)
        offset = floor_through(interpolate(self.offset_integers(), rate_point) + 0.5)
        return hidden, last(hidden) + offset

    def forward(self, step: int, start: tuple[Tensor, Tensor], r: Tensor) -> Tensor:
        """Return scale_index of a step as float [B, M, h, w], integers in 0..63 with gradient.

        start: what the method `start` gave. r: residuals [B, M, h, w] without gradient, zero where not yet
        decoded.
        """
        hidden, sixteenths = start
        if step:
            out = torch.cat([magnitude_code(r), hidden], 1)
            out = self.context[step - 1](out)
            sixteenths = sixteenths + out
        return floor_through(sixteenths / INDEX_UNITS).clamp(0, SCALE_COUNT - 1)
