"""Choose each residual by its bits and its perceptual error; no gradients are taken."""

from __future__ import annotations

import numpy as np

from codec.effort.decision import Floats, RateDistortionDecision
from codec.effort.eye import perceptual_shares, unmasked
from codec.effort.sensitivity import step_bits
from codec.effort.view import TileView
from codec.model.weights import LoadedModel
from codec.runtime.latents import TileSymbols, quantise_given

# Share of a residual's own bits that counts.
OWN_SHARE = 0.7
# Weights beside the squared error of `--tune psnr`: of squared error and of perceptual error. Of 7 held-out
# training pictures 0.3 saved 9.4 % and 0.5 saved 7.3 % of the bits by SSIMULACRA2, and cost 5.5 and 1.6 % by
# PSNR. For single decisions the second weight is so high that visible residuals are rounded; by gradient
# descent, of 4 held-out pictures, 4 saved 11.0 %, 16 15.0 and 40 14.0, and cost 0.4, 2.9 and 6.3 % by PSNR.
SQUARED_WEIGHT, DECISION_WEIGHT, PERCEPTUAL_WEIGHT = 0.5, 64.0, 16.0


def decided_perceptually(
    model: LoadedModel, view: TileView, symbols: TileSymbols, rate_index: int
) -> TileSymbols:
    """Decide on a tile's residuals again; rate_index: its own, 0..2560."""
    y = view.latent(model, rate_index)
    weight = perceptual_step_bits(model, view, rate_index, DECISION_WEIGHT)
    decide = RateDistortionDecision(model, weight, OWN_SHARE)
    return quantise_given(model, symbols.z, y, rate_index, decide)


def perceptual_step_bits(model: LoadedModel, view: TileView, rate_index: int, weight: float) -> Floats:
    """Return step_bits by perceptual error, at each place of a tile: float32 [M, h, w]."""
    visible = perceptual_shares(model)[:, None, None] * unmasked(view.samples, view.rows, view.columns)
    return np.asarray(
        step_bits(model, rate_index)[:, None, None] * (SQUARED_WEIGHT + weight * visible), np.float32
    )
