"""What a residual costs by the stored tables, as a curve over its magnitude for every scale index."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from codec.effort.bits import bits_by_magnitude
from codec.entropy.tables import EntropyTables


@functools.lru_cache(maxsize=4)
def rate_curve(tables: EntropyTables) -> Tensor:
    """Return bits by scale index and magnitude as a tensor; see bits_by_magnitude."""
    with torch.inference_mode(False):
        return torch.tensor(bits_by_magnitude(tables))


class RateCurve:
    """Bits of a residual that need not be an integer: the stored tables, joined by straight lines."""

    def __init__(self, tables: EntropyTables) -> None:
        self._curve = rate_curve(tables)

    def __call__(self, r: Tensor, scale_index: Tensor) -> Tensor:
        """r: float, scale_index: int64 in 0..63, of one shape -> bits, differentiable in r."""
        width = self._curve.shape[1]
        magnitude = r.abs().clamp(max=width - 2)
        low = magnitude.detach().floor()
        index = scale_index * width + low.long()
        flat = self._curve.reshape(-1)
        return torch.lerp(flat[index], flat[index + 1], magnitude - low)
