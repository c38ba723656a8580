"""Graphs by torch, on a CPU or a GPU."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.errors import UsageError

from .graphs import Architecture, graphs
from .runner import CPU
from .torch_ops import TorchOps, tensors

if TYPE_CHECKING:
    from .runner import Inputs


class _FullPrecision:
    """Keeps GPUs from TF32, cuDNN's choice for convolutions, which moves one sample in fifty by a level.

    torch has one switch for the process, not one for each thread: it is set while any thread is inside.
    """

    _CUDNN: Any = torch.backends.cudnn
    _SWITCHES = (_CUDNN.conv, torch.backends.cuda.matmul)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[str] = []

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = [switch.fp32_precision for switch in self._SWITCHES]
                self._set(["ieee"] * len(self._SWITCHES))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._set(self._before)

    def _set(self, precisions: Iterable[str]) -> None:
        for switch, precision in zip(self._SWITCHES, precisions, strict=True):
            switch.fp32_precision = precision


_FULL_PRECISION = _FullPrecision()


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
        precise = contextlib.nullcontext() if self.device == CPU else _FULL_PRECISION
        with torch.inference_mode(), precise:
            tensors = [self._tensor(inputs[name]) for name in wanted.inputs]
            outputs: list[Tensor] = list(wanted.compute(self._ops, *tensors))
            return [output.cpu().numpy() for output in outputs]

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(array)
        if array.dtype == np.int64:
            return tensor
        tensor = tensor.to(self._device)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
