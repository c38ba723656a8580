"""Adam, as torch.optim computes it, to the bit.

torch.optim.Adam loads torch's compiler at its first call, though nothing is compiled: that takes as long as
loading torch does, and leaves a folder among the system's temporary files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

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
