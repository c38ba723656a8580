"""Time-domain lapped filter across 16-pixel block boundaries (Tran, Liang, Tu 2003)."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 16
HALF = BLOCK // 2


def dct2(n: int) -> NDArray[np.float64]:
    """Orthonormal DCT-II matrix [n, n]; row k is the basis function of frequency k."""
    k, i = np.mgrid[0:n, 0:n]
    basis = np.cos(math.pi * k * (2 * i + 1) / (2 * n)) * math.sqrt(2 / n)
    basis[0] /= math.sqrt(2)
    return np.asarray(basis)


def dct4(n: int) -> NDArray[np.float64]:
    """Orthonormal DCT-IV matrix [n, n]."""
    k, i = np.mgrid[0:n, 0:n]
    return np.asarray(np.cos(math.pi * (2 * k + 1) * (2 * i + 1) / (4 * n)) * math.sqrt(2 / n))


@functools.cache
def filter_matrix() -> Tensor:
    """Orthonormal pre-filter [16, 16] for the 16 samples around a block boundary.

    P = 1/2 [I J; J -I] diag(I, V) [I J; J -I] with V = J C2^T C4 J, C2 and C4 the 8-point DCTs II and IV.
    """
    eye, flip = np.eye(HALF), np.fliplr(np.eye(HALF))
    butterfly = np.block([[eye, flip], [flip, -eye]])
    v = flip @ dct2(HALF).T @ dct4(HALF) @ flip
    middle = np.block([[eye, np.zeros((HALF, HALF))], [np.zeros((HALF, HALF)), v]])
    # A cached tensor must serve gradients too, whatever mode its first caller is in.
    with torch.inference_mode(False):
        return torch.from_numpy((0.5 * butterfly @ middle @ butterfly).astype(np.float32))


def _along(x: Tensor, matrix: Tensor, dim: int) -> Tensor:
    size = x.shape[dim]
    if size <= BLOCK:
        return x
    inner = x.narrow(dim, HALF, size - BLOCK)
    windows = inner.unflatten(dim, (size // BLOCK - 1, BLOCK))
    spec = "oi,bchni->bchno" if dim == 3 else "oi,bcniw->bcnow"
    filtered = torch.einsum(spec, matrix, windows).flatten(dim, dim + 1)
    return torch.cat([x.narrow(dim, 0, HALF), filtered, x.narrow(dim, size - HALF, HALF)], dim)


def lap(x: Tensor) -> Tensor:
    """Pre-filter x [B, C, H, W], H and W multiples of 16, rows then columns; the rim is left as it is."""
    matrix = filter_matrix().to(x)
    return _along(_along(x, matrix, 3), matrix, 2)


def unlap(x: Tensor) -> Tensor:
    """Undo `lap`; the filter is orthonormal, so this is its transpose."""
    matrix = filter_matrix().to(x).T
    return _along(_along(x, matrix, 2), matrix, 3)
