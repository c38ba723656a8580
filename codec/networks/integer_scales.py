"""The scale network for training, and table lookup with a fast gradient.

Forward values equal those of the exported integer network; rounding has a straight-through gradient. For
units and bounds see FORMAT.md, "Scale network".
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

# Units of the network's output in one scale index.
INDEX_UNITS = 16
# Factors from parameters to weights, biases and offsets in integer units, chosen so that one learning rate
# suits all layers.
INPUT_GAIN = 16.0
OFFSET_GAIN = 4.0


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
    """Return table [N] at index, integers 0..N-1 of any shape.

    The gradient uses bincount: the scatter of plain indexing takes a tenth of a training step on a CPU.
    """
    values: Tensor = _Lookup.apply(table, index)  # type: ignore[no-untyped-call]
    return values


def magnitude_code(r: Tensor) -> Tensor:
    """Return floor(16 log2(1 + |r|)), at most 127 (FORMAT.md section 8.2). r: integers as float."""
    return torch.log2(1 + r.abs()).mul(16).floor().clamp(max=127)


def hidden_channels(config: ModelConfig) -> int:
    """Return the input channels of the scale network's last layer, which the scale context also reads."""
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
        """Return weight [O, I, k, k] and bias [O] as integers in float32, with straight-through gradients."""
        unit = float(2**self.layer.shift)
        return round_through(self.weight * (self.gain * unit)), round_through(self.bias * (INPUT_GAIN * unit))

    @torch.no_grad()
    def enforce_bound(self) -> None:
        """Scale down output channels whose sums could leave the range in which float32 is exact."""
        weight, bias = self.integers()
        total = weight.abs().sum((1, 2, 3)) * self.input_max + bias.abs()
        # The margin covers the half unit that rounding can add to each weight.
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
    """The scale network with fake quantisation; its outputs equal those of the exported one bit for bit."""

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
            # Zero weights, so that an untrained context changes nothing.
            made[-1].weight.zero_()
        return nn.Sequential(*made)

    def convolutions(self) -> list[FakeQuantisedConv]:
        """Return all layers."""
        return [layer for layers in self.stacks().values() for layer in layers]

    def stacks(self) -> dict[str, list[FakeQuantisedConv]]:
        """Return the layers in order by their prefix in weights files: `scale` and `scale.context.{j}`."""
        containers = {"scale": self.layers, **{f"scale.context.{j}": c for j, c in enumerate(self.context)}}
        return {
            name: [module for module in container.modules() if isinstance(module, FakeQuantisedConv)]
            for name, container in containers.items()
        }

    def offset_integers(self) -> Tensor:
        """Return the offsets [11, M] in 1/16 of a scale index, integers as float."""
        return round_through(self.offset * (OFFSET_GAIN * INDEX_UNITS))

    def enforce_bounds(self) -> None:
        """Keep the sums of every layer exact in float32; call after each optimiser step."""
        for layer in self.convolutions():
            layer.enforce_bound()

    def start(self, z_hat: Tensor, rate_point: Tensor) -> tuple[Tensor, Tensor]:
        """Run the part that depends only on z.

        z_hat: integers as float [B, H, ., .]. Return hidden [B, C, h, w] and 16 x the scale indices with
        offset [B, M, h, w].
        """
        hidden = z_hat.clamp(-Z_MAX, Z_MAX)
        *before, last = self.layers
        for layer in before:
            hidden = layer(hidden)
        offset = floor_through(interpolate(self.offset_integers(), rate_point) + 0.5)
        return hidden, last(hidden) + offset

    def forward(self, step: int, start: tuple[Tensor, Tensor], r: Tensor) -> Tensor:
        """Return the scale indices of a step as float [B, M, h, w], integers in 0..63 with gradient.

        start: result of the method `start`. r: residuals [B, M, h, w] without gradient, zero where not yet
        decoded.
        """
        hidden, sixteenths = start
        if step:
            out = torch.cat([magnitude_code(r), hidden], 1)
            out = self.context[step - 1](out)
            sixteenths = sixteenths + out
        return floor_through(sixteenths / INDEX_UNITS).clamp(0, SCALE_COUNT - 1)
