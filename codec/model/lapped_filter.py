"""The initial matrix of the lapped filter. Does not import torch.

Source: Tran, Liang and Tu, Lapped Transform via Time-Domain Pre- and Post-Filtering, 2003.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

BLOCK = 16
HALF = BLOCK // 2


def dct2(n: int) -> NDArray[np.float64]:
    """Return the orthonormal DCT-II matrix [n, n]; row k is the basis function of frequency k."""
    k, i = np.mgrid[0:n, 0:n]
    basis = np.cos(math.pi * k * (2 * i + 1) / (2 * n)) * math.sqrt(2 / n)
    basis[0] /= math.sqrt(2)
    return np.asarray(basis)


def dct4(n: int) -> NDArray[np.float64]:
    """Return the orthonormal DCT-IV matrix [n, n]."""
    k, i = np.mgrid[0:n, 0:n]
    return np.asarray(np.cos(math.pi * (2 * k + 1) * (2 * i + 1) / (4 * n)) * math.sqrt(2 / n))


@functools.cache
def filter_array() -> NDArray[np.float32]:
    """Return the orthonormal pre-filter [16, 16] for the 16 samples around a block boundary, read-only.

    P = 1/2 [I J; J -I] diag(I, V) [I J; J -I] with V = J C2^T C4 J, where C2 and C4 are the 8-point DCT-II
    and DCT-IV, I the identity and J its mirror image.
    """
    eye, flip = np.eye(HALF), np.fliplr(np.eye(HALF))
    butterfly = np.block([[eye, flip], [flip, -eye]])
    v = flip @ dct2(HALF).T @ dct4(HALF) @ flip
    middle = np.block([[eye, np.zeros((HALF, HALF))], [np.zeros((HALF, HALF)), v]])
    matrix: NDArray[np.float32] = (0.5 * butterfly @ middle @ butterfly).astype(np.float32)
    matrix.flags.writeable = False
    return matrix
