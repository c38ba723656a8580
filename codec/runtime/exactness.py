"""What storing a tile without loss is worth: the error it saves, in bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.quality import STEP_UNITS
from codec.model.weights import LoadedModel

from .latents import TileSymbols, dequantise_tile
from .transform_blocks import Block, synthesise

# The error of mid-gray for black and white. No learned tile is worse, so none needs decoding to know.
WORST_MSE = 255**2 / 4


def exact_pays(
    model: LoadedModel,
    symbols: TileSymbols,
    samples: NDArray[np.uint8],
    rate_index: int,
    extra_bytes: int,
    *,
    gray: bool,
) -> bool:
    """Tell whether a tile's error costs more than extra_bytes, at the slope the rate index stands for.

    By the loss that the model was trained for: bits + lmbda * squared error, 8-bit samples, the mean of the
    channels. samples: the tile's, uint8 [h, w, 3]. rate_index: 0..2560. gray: as for synthesise.
    """
    lmbda = model.config.lmbda(rate_index / STEP_UNITS)
    height, width = samples.shape[:2]
    extra_error = 8 * extra_bytes / (lmbda * height * width)
    if extra_error <= 0:
        return True
    if extra_error > WORST_MSE:
        return False
    latents = dequantise_tile(model, symbols, rate_index)
    whole = Block(0, 0, *latents.shape[1:])
    decoded = synthesise(model, latents, whole, rate_index, gray=gray)[:height, :width]
    return bool(np.square(decoded.astype(np.float32) - samples).mean() > extra_error)
