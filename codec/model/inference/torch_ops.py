"""Graphs computed by torch as they are read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from codec.model.config import SLOPE

WINDOW = 16
ROW_WINDOW = 48


def _has_onednn(x: Tensor) -> bool:
    onednn = torch.backends.mkldnn
    return x.device.type == "cpu" and onednn.is_available() and bool(onednn.enabled)


def tensors(
    weights: Mapping[str, NDArray[np.float32]], device: torch.device | None = None
) -> dict[str, Tensor]:
    """Return folded weights as TorchOps takes them, by name."""
    held = {name: torch.tensor(value, device=device) for name, value in weights.items()}
    return {
        name: value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
        for name, value in held.items()
    }


class TorchOps:
    """`Ops` over tensors whose channels lie innermost: shuffles then move whole rows of channels."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def conv(
        self, x: Tensor, name: str, kernel: int = 1, *, depthwise: bool = False, bias: bool = True
    ) -> Tensor:
        weight = self._weights[f"{name}.weight"]
        offset = self._weights[f"{name}.bias"] if bias else None
        if kernel > 1 or not _has_onednn(x):
            return F.conv2d(x, weight, offset, padding=kernel // 2, groups=x.shape[1] if depthwise else 1)
        # On one thread torch leaves 1x1 convolutions to oneDNN, which is faster, from 16 pictures on: so each
        # row is one. Without oneDNN as many would go to NNPACK, which is not exact.
        _, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(height, 1, width, channels).permute(0, 3, 1, 2)
        made = F.conv2d(rows, weight, offset)
        return made.permute(0, 2, 3, 1).reshape(1, height, width, -1).permute(0, 3, 1, 2)

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
        """Return x with all but its two rims along dim replaced."""
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
