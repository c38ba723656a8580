"""Graphs by torch, on a CPU or a GPU."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
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

# torch keeps these for the whole process, not for a thread.
_CUDNN: Any = torch.backends.cudnn
_PRECISION = (_CUDNN.conv, torch.backends.cuda.matmul)
_PRECISION_LOCK = threading.Lock()


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Keep GPUs from TF32, cuDNN's choice for convolutions: it moves one sample in fifty by a level."""
    with _PRECISION_LOCK:
        before = [kind.fp32_precision for kind in _PRECISION]
        try:
            for kind in _PRECISION:
                kind.fp32_precision = "ieee"
            yield
        finally:
            for kind, precision in zip(_PRECISION, before, strict=True):
                kind.fp32_precision = precision


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
        precise = contextlib.nullcontext() if self.device == CPU else _full_precision()
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
