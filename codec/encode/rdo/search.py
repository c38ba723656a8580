"""Search for the best symbols of a tile at a level of effort."""

from __future__ import annotations

from codec.encode.options import Budget, TileSettings
from codec.encode.rdo.decision import (
    OWN_SHARE,
    RateDistortionDecision,
)
from codec.encode.rdo.objective import Objective
from codec.encode.rdo.perceptual import (
    decided_perceptually,
)
from codec.encode.tile_view import TileView
from codec.inference.weights import LoadedModel
from codec.tiles.quantise import TileSymbols, nearest, quantise_given


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
        from codec.encode.rdo.gradient_descent import SoftError, refine

        found = refine(
            model, y, rate_index, SoftError(objective), objective.step_bits(), how.level.iterations, budget
        )
        objective.offer(quantise_given(model, found.z, found.y, rate_index, nearest))
    return objective.best
