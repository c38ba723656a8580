"""How much error in the picture a quantiser step of each latent channel makes.

Of g_s it is the linear path that carries nearly all energy, and all after it is orthonormal or nearly so:
what one position of a channel puts into the picture has the energy of that channel's column of weights,
wherever it is. Against the energy of g_s's true Jacobian, probed at random, this is right within 5 % for most
channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.quality import MAX_RATE_INDEX, STEP_UNITS
from codec.model.config import COLOURS
from codec.model.factors import factors
from codec.model.weights import LoadedModel

# Structure has a share in the loss that the networks are trained with, so they spend more bits on an error
# than its nominal lmbda says: along the model's own rate indices this many times as many, at the first
# and at the last (benchmarks/training/slope.py).
SLOPE_FIRST, SLOPE_LAST = 1.11, 0.97


def error_weight(model: LoadedModel, rate_index: int) -> float:
    """Bits that a squared error of one level, summed over channels, is worth; rate_index 0..2560."""
    slope = SLOPE_FIRST + (SLOPE_LAST - SLOPE_FIRST) * rate_index / MAX_RATE_INDEX
    return slope * model.config.lmbda(rate_index / STEP_UNITS) / COLOURS


def step_bits(model: LoadedModel, rate_index: int) -> NDArray[np.float32]:
    """Bits that a squared error of one quantiser step is worth, by channel: float32 [M]."""
    linear = model.arrays["g_s.linear.weight"][:, :, 0, 0]
    unpatch = model.arrays["g_s.unpatch.weight"][:, :, 0, 0]
    columns = np.einsum("oc,cpm->opm", unpatch, linear.reshape(len(unpatch), 4, -1), optimize=True)
    energy = np.square(columns).sum((0, 1)) * np.square(factors(model.arrays["inverse_gain"], rate_index))
    return np.asarray(255**2 * error_weight(model, rate_index) * energy, np.float32)
