"""Differentiable graphs: the same as those for coding, with straight-through rounding; and Adam.

torch.optim.Adam is not used because it loads torch's compiler at its first call. That takes as long as
loading torch itself and leaves a folder in the system's temporary directory.
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

# Added to the denominator of Adam's step.
EPS = 1e-8


def floor_through(x: Tensor) -> Tensor:
    """Round down, with gradient 1."""
    return x + (x.floor() - x).detach()


def round_through(x: Tensor) -> Tensor:
    """Round to the nearest integer, with gradient 1."""
    return x + (x.round() - x).detach()


class Adam:
    """Adam (Kingma and Ba, 2015) for one float tensor, a leaf that requires gradients.

    betas: decay of the two moments.
    """

    def __init__(self, leaf: Tensor, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self._leaf, self._betas, self._steps = leaf, betas, 0
        self._mean = torch.zeros_like(leaf, requires_grad=False)
        self._square = torch.zeros_like(leaf, requires_grad=False)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update the leaf from its gradient at learning rate `rate`, and clear the gradient.

        Raises ValueError if there is no gradient.
        """
        gradient, (beta1, beta2) = self._leaf.grad, self._betas
        if gradient is None:
            raise ValueError("the leaf has no gradient; call backward() first")
        self._steps += 1
        self._mean.lerp_(gradient, 1 - beta1)
        self._square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        bias1, bias2 = 1 - beta1**self._steps, 1 - beta2**self._steps
        spread = (self._square.sqrt() / bias2**0.5).add_(EPS)
        self._leaf.addcdiv_(self._mean, spread, value=-rate / bias1)
        self._leaf.grad = None


class SoftOps(TorchOps):
    """TorchOps that overwrite nothing, so that autograd works, with straight-through floors."""

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
    """The differentiable graphs of one model, on the CPU."""

    def __init__(self, model: LoadedModel) -> None:
        scale = model.scale
        arch = Architecture(model.config, scale.layers, scale.context_layers)
        network = {NETWORK + name: value for name, value in model.arrays.items()}
        with torch.inference_mode(False):
            weights = tensors(folded_weights(arch, network | scale.arrays))
        self._ops, self._graphs = SoftOps(weights), graphs(arch)

    def run(self, graph: str, **inputs: Tensor) -> list[Tensor]:
        """Compute a graph on tensors; graphs.py has the inputs and outputs."""
        wanted = self._graphs[graph]
        return list(wanted.compute(self._ops, *(inputs[name] for name in wanted.inputs)))


@functools.lru_cache(maxsize=2)
def soft_graphs(model: LoadedModel) -> SoftGraphs:
    """Return the differentiable graphs of a model, built once."""
    return SoftGraphs(model)
