"""The model in use and the rate index and beta that it works with."""

from __future__ import annotations

import dataclasses
import math

from codec.bitstream.quality import MAX_RATE_INDEX, RATE_POINTS, STEP_UNITS
from codec.errors import UsageError
from codec.model.index import default_model_id, model_entry
from codec.model.quality import to_rate_index
from codec.model.weights import LoadedModel, load_model

DEFAULT_QUALITY = 75.0


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """A model, its rate index 0..2560, and beta: what a bit of rate counts beside one unit of squared error.

    The model was trained with beta = 1 / lmbda of the rate index; another beta weighs latents otherwise.
    """

    model: LoadedModel
    rate_index: int
    beta: float

    @property
    def lmbda(self) -> float:
        """Bits per pixel that one squared 8-bit level of error is worth."""
        return 1 / self.beta


def choose(quality: float | None = None, beta: float | None = None) -> Setting:
    """Return the default model at a quality 0..100, or else at the rate index that was trained for a beta.

    With both, latents are those of the quality, weighed by beta; with neither, quality is 75.
    Raises UsageError for values outside their ranges.
    """
    model_id = default_model_id()
    if beta is not None and not (math.isfinite(beta) and beta > 0):
        raise UsageError(f"beta must be a number above 0, not {beta!r}", field="beta")
    if quality is None and beta is not None:
        model = load_model(model_id)
        config = model.config
        span = math.log(config.lmbda_max / config.lmbda_min)
        point = math.log(1 / beta / config.lmbda_min) / span * (RATE_POINTS - 1)
        return Setting(model, round(min(max(point * STEP_UNITS, 0), MAX_RATE_INDEX)), beta)
    rate_index = to_rate_index(DEFAULT_QUALITY if quality is None else quality, model_entry(model_id))
    model = load_model(model_id)
    trained = 1 / model.config.lmbda(rate_index / STEP_UNITS)
    return Setting(model, rate_index, trained if beta is None else beta)
