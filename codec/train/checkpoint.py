"""Save and load checkpoints as safetensors: parameters, optimiser moments, averaged weights, position."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from codec.errors import TrainingError

# Prefixes of the tensors in a checkpoint.
MODEL, AVERAGE, MOMENTS = "model.", "average.", "adamw."


def write_tensors(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write tensors and JSON metadata to a temporary file and rename it."""
    partial = path.with_name(path.name + ".part")
    save_file({k: v.contiguous() for k, v in tensors.items()}, partial, {"vaezip": json.dumps(meta)})
    os.replace(partial, path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of `write_tensors`: tensors and metadata. Raises TrainingError."""
    try:
        with safe_open(path, "pt") as stored:
            meta = json.loads(stored.metadata()["vaezip"])
            return {name: stored.get_tensor(name) for name in stored.keys()}, meta  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: not a checkpoint of this trainer ({error})") from error


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: WeightAverage,
    meta: dict[str, Any],
) -> None:
    """Write the state of a run. Noise and crops depend only on seed, rank and step, so resuming is exact."""
    tensors = {MODEL + name: p.detach() for name, p in model.named_parameters()}
    tensors |= {AVERAGE + name: value for name, value in average.values.items()}
    for name, parameter in model.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"{MOMENTS}{key}.{name}"] = value
    write_tensors(path, tensors, meta)


@torch.no_grad()
def load_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, average: WeightAverage
) -> dict[str, Any]:
    """Restore the state that `save_checkpoint` wrote and return its metadata. Raises TrainingError."""
    tensors, meta = read_tensors(path)
    load_parameters(model, tensors, MODEL, path)
    for name, value in average.values.items():
        value.copy_(tensors[AVERAGE + name])
    for name, parameter in model.named_parameters():
        state = {
            key.split(".", 2)[1]: value
            for key, value in tensors.items()
            if key.startswith(MOMENTS) and key.split(".", 2)[2] == name
        }
        if state:
            optimiser.state[parameter] = {
                k: v.clone(memory_format=torch.preserve_format).to(memory_format=torch.channels_last)
                if v.ndim == 4
                else v.clone()
                for k, v in state.items()
            }
    return meta


@torch.no_grad()
def load_parameters(model: nn.Module, tensors: dict[str, Tensor], prefix: str, path: Path) -> None:
    """Copy tensors `prefix + name` into the parameters of a model.

    path: named in errors. Raises TrainingError if a parameter is missing or of another shape.
    """
    for name, parameter in model.named_parameters():
        value = tensors.get(prefix + name)
        if value is None or value.shape != parameter.shape:
            raise TrainingError(
                f"{path}: parameter {name} is missing or has another shape; use the sizes of that run"
            )
        parameter.copy_(value)


class WeightAverage:
    """Exponential moving average of a model's parameters; the decay is smaller in the first steps."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Update the average with the parameters after `step` optimiser steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        parameters = dict(model.named_parameters())
        values: list[Tensor] = [self.values[name] for name in parameters]
        torch._foreach_lerp_(values, [p.detach() for p in parameters.values()], 1 - decay)
