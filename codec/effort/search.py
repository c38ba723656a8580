"""The best symbols of a tile that a level of effort finds, never worse than those it starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from codec.bitstream.quality import nearest_rate_point
from codec.effort.decision import OWN_SHARE, Floats, RateDistortionDecision
from codec.effort.eye import PerceptualError
from codec.effort.levels import Budget
from codec.effort.sensitivity import error_weight, step_bits
from codec.effort.settings import TileSettings
from codec.effort.view import TileView
from codec.effort.visual import PERCEPTUAL_WEIGHT, SQUARED_WEIGHT, decided_perceptually, perceptual_step_bits
from codec.entropy.rate import ideal_bits
from codec.model.factors import factors
from codec.model.weights import LoadedModel
from codec.runtime.latents import TileSymbols, dequantise_tile, nearest, quantise_given
from codec.runtime.transform_blocks import Block, scaled, synthesise


class Objective:
    """bits + lmbda * error of one tile, with its rim, at its own rate index; and the best so far.

    The rim is held at what g_a gives. header_rate_index: of g_s, for all tiles. visual: the error is
    perceptual, else it is squared.
    """

    def __init__(
        self,
        model: LoadedModel,
        view: TileView,
        rate_index: int,
        header_rate_index: int,
        symbols: TileSymbols,
        *,
        gray: bool,
        visual: bool = False,
    ) -> None:
        self.model, self.view, self.gray = model, view, gray
        self.rate_index, self.header_rate_index = rate_index, header_rate_index
        self.steps: Floats = factors(model.arrays["inverse_gain"], rate_index)[:, None, None]
        self.around = scaled(model, view.y, rate_index) * self.steps
        self._x = view.x.astype(np.float32)
        self._perceptual = PerceptualError(view.x) if visual else None
        self.best, self.least = symbols, self.cost(symbols)

    def offer(self, symbols: TileSymbols) -> None:
        """Take symbols if they cost less."""
        cost = self.cost(symbols)
        if cost < self.least:
            self.best, self.least = symbols, cost

    def cost(self, symbols: TileSymbols) -> float:
        """Bits that the symbols take, and their error is worth, together: of samples as they are decoded."""
        whole = self.around.copy()
        self.view.inner(whole)[...] = dequantise_tile(self.model, symbols, self.rate_index)
        block = Block(0, 0, *whole.shape[1:])
        x_hat = synthesise(
            self.model, whole, block, self.header_rate_index, gray=self.gray, present=self.view.present
        )
        bits = ideal_bits(
            self.model.coder.tables,
            symbols.z,
            symbols.r,
            symbols.scale_index,
            nearest_rate_point(self.rate_index),
        )
        return bits + float(self.error(x_hat))

    def error(self, x_hat: Any, wrap: Callable[[Floats], Any] = np.asarray) -> Any:
        """Bits that the error of samples [h, w, 1 or 3] of the tile and its rim is worth.

        An array, or a tensor as wrap makes it of an array.
        """
        e = x_hat - wrap(self._x)
        error = (e * e).sum()
        if self._perceptual:
            error = SQUARED_WEIGHT * error + PERCEPTUAL_WEIGHT * self._perceptual(e, wrap)
        return error * error_weight(self.model, self.rate_index)

    def step_bits(self) -> Floats:
        """Bits that the error of a residual that is off by one step is worth, float32 [M, h, w]."""
        if self._perceptual:
            return perceptual_step_bits(self.model, self.view, self.rate_index, PERCEPTUAL_WEIGHT)
        by_channel = step_bits(self.model, self.rate_index)[:, None, None]
        return np.broadcast_to(by_channel, (by_channel.size, self.view.rows, self.view.columns))


def improved(
    model: LoadedModel,
    view: TileView,
    symbols: TileSymbols,
    rate_index: int,
    header_rate_index: int,
    how: TileSettings,
    budget: Budget,
) -> TileSymbols:
    """Return the symbols that cost least, in bits and error, of those given and those that a level tries.

    rate_index: the tile's own, 0..2560. Tiles that are lifted keep what they have: they are no photographs.
    how: visual counts without a level, too. Raises BackendMissing for a level of gradients without torch.
    """
    if symbols.lift:
        return symbols
    if how.visual:
        symbols = decided_perceptually(model, view, symbols, rate_index)
    if not how.level.decides:
        return symbols
    objective = Objective(
        model, view, rate_index, header_rate_index, symbols, gray=how.gray, visual=how.visual
    )
    y = view.latent(model, rate_index)
    if not how.visual:
        decide = RateDistortionDecision(model, objective.step_bits(), OWN_SHARE)
        objective.offer(quantise_given(model, symbols.z, y, rate_index, decide))
    if how.level.iterations:
        from codec.effort.refine import refine
        from codec.effort.soft_error import SoftError

        found = refine(
            model, y, rate_index, SoftError(objective), objective.step_bits(), how.level.iterations, budget
        )
        objective.offer(quantise_given(model, found.z, found.y, rate_index, nearest))
    return objective.best
