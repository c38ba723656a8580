"""Time-domain lapped filter across 16-pixel block boundaries (Tran, Liang, Tu 2003)."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from .lapped_matrix import BLOCK, HALF, filter_array


@functools.cache
def filter_matrix() -> Tensor:
    """Return the pre-filter [16, 16] of `filter_array` as a tensor."""
    # A cached tensor must serve gradients too, whatever mode its first caller is in.
    with torch.inference_mode(False):
        return torch.from_numpy(filter_array().copy())


def _along(x: Tensor, matrix: Tensor, dim: int) -> Tensor:
    size = x.shape[dim]
    if size <= BLOCK:
        return x
    inner = x.narrow(dim, HALF, size - BLOCK)
    windows = inner.unflatten(dim, (size // BLOCK - 1, BLOCK))
    spec = "oi,bchni->bchno" if dim == 3 else "oi,bcniw->bcnow"
    filtered = torch.einsum(spec, matrix, windows).flatten(dim, dim + 1)
    return torch.cat([x.narrow(dim, 0, HALF), filtered, x.narrow(dim, size - HALF, HALF)], dim)


def lap(x: Tensor, matrix: Tensor | None = None) -> Tensor:
    """Pre-filter x [B, C, H, W], H and W multiples of 16, rows then columns; the rim is left as it is.

    matrix: [16, 16] for the samples around a boundary; without it, that of `filter_array`.
    """
    matrix = filter_matrix().to(x) if matrix is None else matrix
    return _along(_along(x, matrix, 3), matrix, 2)


def unlap(x: Tensor, matrix: Tensor | None = None) -> Tensor:
    """Undo `lap`: columns then rows. Without a matrix by the transpose of that of `filter_array`."""
    matrix = filter_matrix().to(x).T if matrix is None else matrix
    return _along(_along(x, matrix, 2), matrix, 3)


class Window(nn.Module):
    """A learned filter for the 16 samples around a block boundary, [16, 16].

    It is the same mirrored, and keeps what is the same everywhere: `project` sees to it.
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        # Row by row: a fused optimiser reads moments in the order of memory, and stored ones lie so.
        self.matrix = nn.Parameter(start.clone(memory_format=torch.contiguous_format))

    @torch.no_grad()
    def project(self) -> None:
        """Go to the nearest filter with both properties; call after each optimiser step."""
        matrix = (self.matrix + self.matrix.flip(0, 1)) / 2
        self.matrix.copy_(matrix + (1 - matrix.sum(1, keepdim=True)) / BLOCK)
