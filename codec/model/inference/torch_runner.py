"""Graphs by torch, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.errors import UsageError

from .graphs import Architecture, graphs
from .torch_ops import TorchOps, tensors

if TYPE_CHECKING:
    from .runner import Inputs


class TorchRunner:
    """Runs graphs on one device. Threads may share it. Raises UsageError for a device that is not there."""

    name = "torch"

    def __init__(
        self, arch: Architecture, weights: Mapping[str, NDArray[np.float32]], device: str = "cpu"
    ) -> None:
        self.device = device
        try:
            self._device = torch.device(device)
            held = tensors(weights, self._device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"device {device!r} cannot be used: {error}", field="device") from error
        self._ops = TorchOps(held)
        self._graphs = graphs(arch)

    def run(self, graph: str, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Compute a graph."""
        wanted = self._graphs[graph]
        with torch.inference_mode():
            tensors = [self._tensor(inputs[name]) for name in wanted.inputs]
            outputs: list[Tensor] = list(wanted.compute(self._ops, *tensors))
            return [output.cpu().numpy() for output in outputs]

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(array)
        if array.dtype == np.int64:
            return tensor
        tensor = tensor.to(self._device)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
