"""Gradients through the graphs that coding runs, rounding that they pass, and Adam.

torch.optim.Adam loads torch's compiler at its first call, though nothing is compiled: that takes as long as
loading torch does, and leaves a folder among the system's temporary files.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from codec.inference.folding import NETWORK
from codec.inference.graphs import Architecture, graphs
from codec.inference.torch_backend import TorchOps, tensors
from codec.inference.weights import LoadedModel, folded_weights
from codec.model.config import SLOPE


def floor_through(x: Tensor) -> Tensor:
    """Round down; gradient 1."""
    return x + (x.floor() - x).detach()


def round_through(x: Tensor) -> Tensor:
    """Round to the nearest integer; gradient 1."""
    return x + (x.round() - x).detach()


EPS = 1e-8


class Adam:
    """Moves one float tensor, a leaf that requires gradients, by them. betas: decay of the two moments."""

    def __init__(self, leaf: Tensor, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self._leaf, self._betas, self._steps = leaf, betas, 0
        self._mean = torch.zeros_like(leaf, requires_grad=False)
        self._square = torch.zeros_like(leaf, requires_grad=False)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Take a step of this rate along the leaf's gradient, and clear that."""
        gradient, (beta1, beta2) = self._leaf.grad, self._betas
        if gradient is None:
            raise ValueError("no gradient to step along; call backward() first")
        self._steps += 1
        self._mean.lerp_(gradient, 1 - beta1)
        self._square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        bias1, bias2 = 1 - beta1**self._steps, 1 - beta2**self._steps
        spread = (self._square.sqrt() / bias2**0.5).add_(EPS)
        self._leaf.addcdiv_(self._mean, spread, value=-rate / bias1)
        self._leaf.grad = None


class SoftOps(TorchOps):
    """As TorchOps, but nothing is overwritten, and gradients pass floors as if they were not there."""

    def act(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, SLOPE)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def floor(self, x: Tensor, factor: float) -> Tensor:
        return floor_through(x * factor)

    def clamp(self, x: Tensor, low: float, high: float) -> Tensor:
        return x.clamp(low, high)

    def _replaced(self, x: Tensor, inner: Tensor, dim: int) -> Tensor:
        rim = (x.shape[dim] - inner.shape[dim]) // 2
        return torch.cat([x.narrow(dim, 0, rim), inner, x.narrow(dim, x.shape[dim] - rim, rim)], dim)


class SoftGraphs:
    """The graphs of one model, on the CPU."""

    def __init__(self, model: LoadedModel) -> None:
        scale = model.scale
        arch = Architecture(model.config, scale.layers, scale.context_layers)
        network = {NETWORK + name: value for name, value in model.arrays.items()}
        with torch.inference_mode(False):
            weights = tensors(folded_weights(arch, network | scale.arrays))
        self._ops, self._graphs = SoftOps(weights), graphs(arch)

    def run(self, graph: str, **inputs: Tensor) -> list[Tensor]:
        """Compute a graph; see graphs.py for the inputs."""
        wanted = self._graphs[graph]
        return list(wanted.compute(self._ops, *(inputs[name] for name in wanted.inputs)))


@functools.lru_cache(maxsize=2)
def soft_graphs(model: LoadedModel) -> SoftGraphs:
    """Return the graphs of a model, made once."""
    return SoftGraphs(model)
