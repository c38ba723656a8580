"""The graphs that coding runs, as functions that gradients pass through."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from codec.model.config import SLOPE
from codec.model.inference.folding import NETWORK, float_weights, scale_weights
from codec.model.inference.graphs import Architecture, graphs
from codec.model.inference.torch_ops import ROW_WINDOW, WINDOW, TorchOps
from codec.model.weights import LoadedModel


def floored(value: Tensor) -> Tensor:
    """Round down; gradients pass as if nothing were done."""
    return value + (value.floor() - value).detach()


class SoftOps(TorchOps):
    """As TorchOps, but nothing is overwritten, and gradients pass floors as if they were not there."""

    def act(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, SLOPE)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y

    def floor(self, x: Tensor, factor: float) -> Tensor:
        return floored(x * factor)

    def clamp(self, x: Tensor, low: float, high: float) -> Tensor:
        return x.clamp(low, high)

    def filter_columns(self, x: Tensor, name: str, both: Tensor | None) -> Tensor:
        if both is not None:
            return super().filter_columns(x, name, both)
        half, width = WINDOW // 2, x.shape[1]
        inner = torch.matmul(self._weights[name], x[half:-half].reshape(-1, WINDOW, width))
        return torch.cat([x[:half], inner.reshape(-1, width), x[-half:]])

    def filter_rows(self, x: Tensor, name: str, both: Tensor | None) -> Tensor:
        if both is not None:
            return super().filter_rows(x, name, both)
        half, height = ROW_WINDOW // 2, x.shape[0]
        inner = torch.matmul(x[:, half:-half].reshape(height, -1, ROW_WINDOW), self._weights[name])
        return torch.cat([x[:, :half], inner.reshape(height, -1), x[:, -half:]], 1)


class SoftGraphs:
    """The graphs of one model, on the CPU."""

    def __init__(self, model: LoadedModel) -> None:
        scale = model.scale
        arch = Architecture(model.config, scale.layers, scale.context_layers)
        arrays = float_weights({NETWORK + name: value for name, value in model.arrays.items()})
        arrays |= scale_weights(scale.layers, scale.context_layers, scale.arrays)
        with torch.inference_mode(False):
            weights = {name: torch.tensor(value) for name, value in arrays.items()}
        for name, value in weights.items():
            if value.dim() == 4:
                weights[name] = value.contiguous(memory_format=torch.channels_last)
        self._ops, self._graphs = SoftOps(weights), graphs(arch)

    def run(self, graph: str, **inputs: Tensor) -> list[Tensor]:
        """Compute a graph; see graphs.py for the inputs."""
        wanted = self._graphs[graph]
        return list(wanted.compute(self._ops, *(inputs[name] for name in wanted.inputs)))


@functools.lru_cache(maxsize=2)
def soft_graphs(model: LoadedModel) -> SoftGraphs:
    """Return the graphs of a model, made once."""
    return SoftGraphs(model)
