"""The best symbols of a tile that a level of effort finds, never worse than those it starts from."""

from __future__ import annotations

import numpy as np

from codec.bitstream.quality import rate_band
from codec.effort.decision import OWN_SHARE, Floats, RateDistortionDecision
from codec.effort.levels import Budget, Level
from codec.effort.sensitivity import error_weight, step_bits
from codec.effort.view import TileView
from codec.entropy.rate import ideal_bits
from codec.model.factors import factors
from codec.model.weights import LoadedModel
from codec.runtime.latents import TileSymbols, dequantise_tile, nearest, quantise_given
from codec.runtime.transform_blocks import Block, scaled, synthesise


class Objective:
    """bits + lmbda * squared error of one tile, with its rim, at its own quality; and the best so far.

    The rim is held at what g_a gives. header_quality: what g_s is told, for all tiles.
    """

    def __init__(
        self,
        model: LoadedModel,
        view: TileView,
        quality: int,
        header_quality: int,
        symbols: TileSymbols,
        *,
        gray: bool,
    ) -> None:
        self.model, self.view, self.quality, self.header_quality = model, view, quality, header_quality
        self.gray = gray
        self.steps: Floats = factors(model.arrays["inverse_gain"], quality)[:, None, None]
        self.around = scaled(model, view.y, quality) * self.steps
        self.best, self.least = symbols, self.cost(symbols)

    def offer(self, symbols: TileSymbols) -> None:
        """Take symbols if they cost less."""
        cost = self.cost(symbols)
        if cost < self.least:
            self.best, self.least = symbols, cost

    def cost(self, symbols: TileSymbols) -> float:
        """Bits that the symbols take, and their error is worth, together: of samples as they are decoded."""
        whole = self.around.copy()
        self.view.inner(whole)[...] = dequantise_tile(self.model, symbols, self.quality)
        block = Block(0, 0, *whole.shape[1:])
        x_hat = synthesise(
            self.model, whole, block, self.header_quality, gray=self.gray, present=self.view.present
        )
        error = np.square(x_hat.astype(np.float32) - self.view.x).sum(dtype=np.float64)
        bits = ideal_bits(
            self.model.coder.tables, symbols.z, symbols.r, symbols.scale_index, rate_band(self.quality)
        )
        return bits + error_weight(self.model, self.quality) * float(error)


def improved(
    model: LoadedModel,
    view: TileView,
    symbols: TileSymbols,
    quality: int,
    header_quality: int,
    level: Level,
    budget: Budget,
    *,
    gray: bool,
) -> TileSymbols:
    """Return the symbols that cost least, in bits and error, of those given and those that a level tries.

    quality: the tile's own, 0..1792. Tiles that are lifted keep what they have: they are no photographs.
    gray: as for synthesise. Raises BackendMissing for a level of gradients without torch.
    """
    if not level.decides or symbols.lift:
        return symbols
    objective = Objective(model, view, quality, header_quality, symbols, gray=gray)
    y = view.latent(model, quality)
    decide = RateDistortionDecision(model, step_bits(model, quality), y.shape, OWN_SHARE)
    objective.offer(quantise_given(model, symbols.z, y, quality, decide))
    if level.iterations:
        from codec.effort.refine import refine
        from codec.effort.soft_error import SoftError

        error = SoftError(objective)
        found = refine(model, y, quality, error, level.iterations, budget.seconds, budget.tick)
        objective.offer(quantise_given(model, found.z, found.y, quality, nearest))
    return objective.best
