"""Compute graphs with torch, on a CPU or a GPU."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from codec.errors import UsageError
from codec.inference.backends import CPU
from codec.inference.graphs import Architecture, graphs
from codec.model.config import SLOPE

if TYPE_CHECKING:
    from codec.inference.backends import Inputs

# Samples around a block boundary: of a column, and of a row with three channels.
WINDOW, ROW_WINDOW = 16, 48


def _has_onednn(x: Tensor) -> bool:
    onednn = torch.backends.mkldnn
    return x.device.type == "cpu" and onednn.is_available() and bool(onednn.enabled)


def tensors(
    weights: Mapping[str, NDArray[np.float32]], device: torch.device | None = None
) -> dict[str, Tensor]:
    """Return folded weights as tensors for TorchOps, by name."""
    held = {name: torch.tensor(value, device=device) for name, value in weights.items()}
    return {
        name: value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
        for name, value in held.items()
    }


class TorchOps:
    """`Ops` over tensors in channels-last layout, in which shuffles copy contiguous channels."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def conv(
        self, x: Tensor, name: str, kernel: int = 1, *, depthwise: bool = False, bias: bool = True
    ) -> Tensor:
        weight = self._weights[f"{name}.weight"]
        offset = self._weights[f"{name}.bias"] if bias else None
        if kernel > 1 or not _has_onednn(x):
            return F.conv2d(x, weight, offset, padding=kernel // 2, groups=x.shape[1] if depthwise else 1)
        # On one thread torch uses oneDNN, which is faster, for 1x1 convolutions only at batch sizes of 16 or
        # more, so rows become the batch. Without oneDNN such a batch would use NNPACK, which is not exact.
        _, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(height, 1, width, channels).permute(0, 3, 1, 2)
        out = F.conv2d(rows, weight, offset)
        return out.permute(0, 2, 3, 1).reshape(1, height, width, -1).permute(0, 3, 1, 2)

    def matmul(self, x: Tensor, name: str, *, bias: bool = True) -> Tensor:
        weight = self._weights[f"{name}.weight"]
        return torch.baddbmm(self._weights[f"{name}.bias"], weight, x) if bias else torch.bmm(weight, x)

    def act(self, x: Tensor) -> Tensor:
        return F.leaky_relu_(x, SLOPE)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return x.add_(y)

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        return x.mul_(y)

    def floor(self, x: Tensor, factor: float) -> Tensor:
        return x.mul_(factor).floor_()

    def clamp(self, x: Tensor, low: float, high: float) -> Tensor:
        return x.clamp_(low, high)

    def crop(self, x: Tensor, box: Tensor) -> Tensor:
        top, left, bottom, right = box.tolist()
        return x[:, :, top:bottom, left:right]

    def up(self, x: Tensor) -> Tensor:
        _, channels, h, w = x.shape
        parts = x.permute(0, 2, 3, 1).reshape(h, w, 2, 2, channels // 4)
        return parts.permute(0, 2, 1, 3, 4).reshape(1, 2 * h, 2 * w, channels // 4).permute(0, 3, 1, 2)

    def down(self, x: Tensor) -> Tensor:
        _, channels, h, w = x.shape
        parts = x.permute(0, 2, 3, 1).reshape(h // 2, 2, w // 2, 2, channels)
        return parts.permute(0, 2, 1, 3, 4).reshape(1, h // 2, w // 2, 4 * channels).permute(0, 3, 1, 2)

    def parities(self, x: Tensor) -> Tensor:
        _, channels, h, w = x.shape
        parts = x.permute(0, 2, 3, 1).reshape(h // 2, 2, w // 2, 2, channels)
        return parts.permute(1, 3, 0, 2, 4).reshape(4, h * w // 4, channels).transpose(1, 2)

    def interleave(self, x: Tensor, grid: Tensor) -> Tensor:
        h, w = grid[2:].tolist()
        channels = x.shape[1]
        parts = x.reshape(2, 2, channels, h, w).permute(3, 0, 4, 1, 2)
        return parts.reshape(1, 2 * h, 2 * w, channels).permute(0, 3, 1, 2)

    def patches(self, x: Tensor) -> Tensor:
        h, w = x.shape[0] // 8, x.shape[1] // 24
        return x.reshape(h, 8, w, 24).transpose(1, 2).reshape(1, h, w, 192).permute(0, 3, 1, 2)

    def pixels(self, x: Tensor) -> Tensor:
        _, _, h, w = x.shape
        return x.permute(0, 2, 3, 1).reshape(h, w, 8, 24).transpose(1, 2).reshape(8 * h, 24 * w)

    def filter_columns(self, x: Tensor, name: str, both: Tensor | None) -> Tensor:
        matrix, half, width = self._weights[name], WINDOW // 2, x.shape[1]
        if both is None:
            inner = x[half:-half].reshape(-1, WINDOW, width)
            return self._replaced(x, torch.matmul(matrix, inner).reshape(-1, width), 0)
        windows = F.pad(x, (0, 0, half, half)).reshape(-1, WINDOW, width)
        filtered = torch.lerp(windows, torch.matmul(matrix, windows), both)
        return filtered.reshape(-1, width)[half:-half]

    def _replaced(self, x: Tensor, inner: Tensor, dim: int) -> Tensor:
        """Return x with everything except its two ends along dim replaced by inner."""
        x.narrow(dim, (x.shape[dim] - inner.shape[dim]) // 2, inner.shape[dim]).copy_(inner)
        return x

    def filter_rows(self, x: Tensor, name: str, both: Tensor | None) -> Tensor:
        matrix, half, height = self._weights[name], ROW_WINDOW // 2, x.shape[0]
        if both is None:
            inner = x[:, half:-half].reshape(height, -1, ROW_WINDOW)
            return self._replaced(x, torch.matmul(inner, matrix).reshape(height, -1), 1)
        windows = F.pad(x, (half, half)).reshape(height, -1, ROW_WINDOW)
        filtered = torch.lerp(windows, torch.matmul(windows, matrix), both)
        return filtered.reshape(height, -1)[:, half:-half]


class _FullPrecision:
    """Context manager that keeps GPUs from TF32, cuDNN's default for convolutions.

    TF32 changes one sample in fifty by a level. torch's switches are per process, not per thread, so they
    stay set while any thread is inside.
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
    """Run graphs on one device. Threads may share it. Raises UsageError if the device cannot be used."""

    name = "torch"

    def __init__(
        self, arch: Architecture, weights: Mapping[str, NDArray[np.float32]], device: str = CPU
    ) -> None:
        self.device = device
        try:
            self._device = torch.device(device)
            on_device = tensors(weights, self._device)
        except (RuntimeError, AssertionError) as error:
            raise UsageError(f"device {device!r} cannot be used: {error}", field="device") from error
        self._ops = TorchOps(on_device)
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
