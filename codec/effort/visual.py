"""Each residual by its real rate and by what the eye makes of its error; no gradients are taken."""

from __future__ import annotations

import numpy as np

from codec.effort.decision import Floats, RateDistortionDecision
from codec.effort.eye import seen_shares, unmasked
from codec.effort.sensitivity import step_bits
from codec.effort.view import TileView
from codec.model.weights import LoadedModel
from codec.runtime.latents import TileSymbols, quantise_given

# Share of a residual's own bits that counts.
OWN_SHARE = 0.7
# Weight of squared error beside that of `--tune psnr`: of all of it, and more for what is seen. Of 7 held-out
# training pictures 0.3 saved 9.4 % and 0.5 saved 7.3 % of the bits by SSIMULACRA2, and cost 5.5 and 1.6 % by
# PSNR. For single decisions the second weight is so high that what is wholly seen is rounded; by gradient
# descent, of 4 held-out pictures, 4 saved 11.0 %, 16 15.0 and 40 14.0, and cost 0.4, 2.9 and 6.3 % by PSNR.
UNSEEN, SEEN_DECIDED, SEEN = 0.5, 64.0, 16.0


def decided_by_eye(model: LoadedModel, view: TileView, symbols: TileSymbols, quality: int) -> TileSymbols:
    """Decide on a tile's residuals again; quality: its own, 0..2560."""
    y = view.latent(model, quality)
    weight = seen_step_bits(model, view, quality, SEEN_DECIDED)
    decide = RateDistortionDecision(model, weight, OWN_SHARE)
    return quantise_given(model, symbols.z, y, quality, decide)


def seen_step_bits(model: LoadedModel, view: TileView, quality: int, weight: float) -> Floats:
    """As step_bits, but by what is seen at each place of a tile, so much more: float32 [M, h, w]."""
    seen = seen_shares(model)[:, None, None] * unmasked(view.samples, view.rows, view.columns)
    return np.asarray(step_bits(model, quality)[:, None, None] * (UNSEEN + weight * seen), np.float32)
