"""The graphs that coding runs, as functions that gradients pass through."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from codec.model.config import SLOPE
from codec.model.inference.folding import NETWORK
from codec.model.inference.graphs import Architecture, graphs
from codec.model.inference.torch_ops import TorchOps, tensors
from codec.model.straight_through import floor_through
from codec.model.weights import LoadedModel, folded_weights


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
