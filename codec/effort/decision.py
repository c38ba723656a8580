"""Choose each residual by its bits and the error that it makes in the picture; no gradients are taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec.effort.bits import bits_by_magnitude
from codec.entropy import quarters
from codec.model.weights import LoadedModel

Floats = NDArray[np.float32]

# Share of a residual's own bits that counts. Measured: of 0.5 to 1.0 0.8 is best, and trying others beside it
# gains nothing.
OWN_SHARE = 0.8
# Below this a residual is 0, whatever a 1 would cost.
_LEAST = 0.3


class RateDistortionDecision:
    """Chooses among 0 and the two integers around y - mu. An object for one tile and rate index.

    step_bits: that the error of a residual that is off by one step is worth, float32 [M, h, w].
    own_share: of a residual's bits that counts; what it tells the contexts of later ones is worth the rest.
    """

    def __init__(
        self,
        model: LoadedModel,
        step_bits: Floats,
        own_share: float,
    ) -> None:
        self._bits = own_share * bits_by_magnitude(model.coder.tables)
        self._lean = model.arrays["lean"]
        self._step_bits = step_bits

    def __call__(self, step: int, exact: Floats, scale_index: NDArray[np.uint8]) -> Floats:
        """exact: y - mu, scale_index: scale indices, [4, Q, h2, w2] of a step -> r, integers as float."""
        r = np.zeros_like(exact)
        where = np.nonzero((np.abs(exact) > _LEAST) & (scale_index > 0))
        e = exact[where]
        r[where] = self._choose(e, scale_index[where], quarters.take(self._step_bits, step)[where])
        return r

    def _choose(self, e: Floats, scale_index: NDArray[np.uint8], weight: Floats) -> Floats:
        size = np.abs(e)
        lean, last = self._lean[scale_index], self._bits.shape[1] - 1
        best = self._bits[scale_index, 0] + weight * size**2
        chosen = np.zeros_like(size)
        low = np.maximum(np.floor(size), 1)
        for candidate in (low, low + 1):
            bits = self._bits[scale_index, np.minimum(candidate, last).astype(np.int64)]
            cost = bits + weight * (size - candidate - lean) ** 2
            better = cost < best
            best, chosen = np.where(better, cost, best), np.where(better, candidate, chosen)
        return np.asarray(np.copysign(chosen, e))
