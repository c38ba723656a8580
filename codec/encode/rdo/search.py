"""Search for the symbols of a tile that cost least, within the work of an effort."""

from __future__ import annotations

from codec.encode.options import Budget, TileSettings
from codec.encode.rdo.decision import OWN_SHARE, RateDistortionDecision
from codec.encode.rdo.objective import Objective
from codec.encode.rdo.perceptual import decide_perceptually
from codec.encode.tile_view import TileView
from codec.inference.weights import LoadedModel
from codec.tiles.quantise import TileSymbols, nearest, quantise_given


def optimise_symbols(
    model: LoadedModel,
    view: TileView,
    symbols: TileSymbols,
    rate_index: int,
    header_rate_index: int,
    how: TileSettings,
    budget: Budget,
) -> TileSymbols:
    """Return the symbols of lowest bits + lmbda * error, of those given and those that the effort tries.

    rate_index: the tile's own, 0..2560. header_rate_index: the picture's. how.visual applies at every effort.
    Tiles with the lift flag are returned unchanged, since they are hardly ever photographs.
    Raises BackendMissing if the effort has iterations and torch is missing.
    """
    if symbols.lift:
        return symbols
    if how.visual:
        symbols = decide_perceptually(model, view, symbols, rate_index)
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
