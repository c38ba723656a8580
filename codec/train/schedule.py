"""Learning rate and weight averaging over a run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WARM_UP_STEPS = 200
DECAY_SHARE = 0.15
FINAL_SHARE = 0.02


def learning_rate_factor(step: int, progress: float) -> float:
    """Warm-up by step, then constant, then linear decay over the last 15 % of progress, 0..1."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    left = min(1.0, max(0.0, (1.0 - progress) / DECAY_SHARE))
    return warm * (FINAL_SHARE + (1 - FINAL_SHARE) * left)


def is_decaying(progress: float) -> bool:
    """Tell whether the run has entered its decay."""
    return progress >= 1.0 - DECAY_SHARE


class WeightAverage:
    """Exponential moving average of a model's parameters; its memory is short at first."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the parameters after `step` optimiser steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        parameters = dict(model.named_parameters())
        values: list[Tensor] = [self.values[name] for name in parameters]
        torch._foreach_lerp_(values, [p.detach() for p in parameters.values()], 1 - decay)
