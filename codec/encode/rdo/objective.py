"""The objective of rate-distortion optimisation: bits + lmbda x error of one tile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from codec.bitstream.rate_index import nearest_rate_point
from codec.encode.rdo.decision import Floats, error_weight, ideal_bits, step_bits
from codec.encode.rdo.perceptual import (
    PERCEPTUAL_WEIGHT,
    SQUARED_WEIGHT,
    PerceptualError,
    perceptual_step_bits,
)
from codec.encode.tile_view import TileView
from codec.inference.scale_network import factors
from codec.inference.weights import LoadedModel
from codec.tiles.quantise import TileSymbols, dequantise_tile
from codec.tiles.transforms import Block, scaled, synthesise


class Objective:
    """Evaluate bits + lmbda * error of one tile with its rim, and keep the best symbols so far.

    The rim is fixed at the output of g_a, without quantisation. rate_index: the tile's own, 0..2560.
    header_rate_index: the picture's, which g_s uses. visual: the error is perceptual, else squared.
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
        """Keep symbols as the best if they cost less."""
        cost = self.cost(symbols)
        if cost < self.least:
            self.best, self.least = symbols, cost

    def cost(self, symbols: TileSymbols) -> float:
        """Return the bits of the symbols plus the error of the decoded samples, in bits."""
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
        """Return the error, in bits, of decoded samples [h, w, 1 or 3] of the tile and its rim.

        x_hat: an array, or a tensor if wrap turns arrays into tensors.
        """
        e = x_hat - wrap(self._x)
        error = (e * e).sum()
        if self._perceptual:
            error = SQUARED_WEIGHT * error + PERCEPTUAL_WEIGHT * self._perceptual(e, wrap)
        return error * error_weight(self.model, self.rate_index)

    def step_bits(self) -> Floats:
        """Return the bits equivalent to an error of one quantiser step, float32 [M, h, w]."""
        if self._perceptual:
            return perceptual_step_bits(self.model, self.view, self.rate_index, PERCEPTUAL_WEIGHT)
        by_channel = step_bits(self.model, self.rate_index)[:, None, None]
        return np.broadcast_to(by_channel, (by_channel.size, self.view.rows, self.view.columns))
