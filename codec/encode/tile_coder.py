"""Encode a tile: latent, symbols, payload, and the choice between learned and lossless."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE, Tile, y_shape
from codec.bitstream.rate_index import nearest_rate_point, tile_rate_index
from codec.bitstream.tile_payloads import FLAG_LIFT, DetailPayload, TilePayload, parse_tile
from codec.encode.options import Budget, TileSettings
from codec.encode.rdo.search import optimise_symbols
from codec.encode.tile_view import TileView
from codec.entropy.coder import symbol_crc
from codec.entropy.detail_coder import detail_crc
from codec.image.lossless import may_pay, pack
from codec.image.picture import Samples
from codec.inference.weights import LoadedModel
from codec.tiles.detail import (
    BLOCKS,
    LAPPED,
    TileDetail,
    activity,
    add_detail,
    analyse_detail,
    estimated_saving,
    quantise_detail,
    step_code,
    step_size,
    unrepresented,
)
from codec.tiles.quantise import Floats, TileSymbols, quantise_tile
from codec.tiles.transforms import Block, analyse

# The learned part of photographs has a third of this mean squared error at most at this rate index, and half
# of that for so much more.
_HARD_MSE, _HARD_AT, _HARD_HALVES = 90.0, 1664, 427
# First u + v, by colour, of the frequencies of a 16x16 block that the latent does not represent: those
# outside the span of the linear path of g_a, which has 320 channels for 768 samples.
_UNREPRESENTED = (25, 10, 6)
# What a detail layer must seem to save before it is tried, in bits: fields, means, and as much again.
_LEAST_SAVING = 400.0
# A detail layer must save this share of the cost, for it takes longer to decode; so photographs rarely have
# one.
_LEAST_SHARE = 0.01


class CodedTile(NamedTuple):
    """A coded tile.

    payload: of its chunk. symbols: of the learned part; None if the tile is lossless. rate_index: of the
    learned part, 0..2560. detail: None if there is no detail layer. cost: bits + weight * squared error, as
    refine_tile weighs them. hard: the learned part represents the tile badly for its rate.
    """

    payload: bytes
    symbols: TileSymbols | None
    rate_index: int = 0
    detail: TileDetail | None = None
    cost: float = math.inf
    hard: bool = False

    @property
    def lossless(self) -> bool:
        """True if the payload is that of a LOSSLESS_TILE chunk."""
        return self.symbols is None


def code_lossless(samples: NDArray[np.uint8]) -> CodedTile:
    """Return a tile that stores its samples, uint8 [h, w, 3], exactly."""
    return CodedTile(pack(samples), None)


def code_learned(
    model: LoadedModel, view: TileView, base_rate_index: int, offset: int, how: TileSettings, budget: Budget
) -> CodedTile:
    """Code a tile with the networks, without a detail layer.

    base_rate_index: of the picture, 0..2560. offset: the tile's rate offset, -128..127.
    """
    rate_index = tile_rate_index(base_rate_index, offset)
    symbols = quantise_tile(model, view.latent(model, rate_index), rate_index)
    symbols = optimise_symbols(model, view, symbols, rate_index, base_rate_index, how, budget)
    return CodedTile(pack_symbols(model, symbols, rate_index, offset), symbols, rate_index)


def refine_tile(
    model: LoadedModel,
    learned: CodedTile,
    samples: NDArray[np.uint8],
    decoded: NDArray[np.uint8],
    weight: float,
    *,
    may_be_lossless: bool,
    keen: bool = False,
) -> CodedTile:
    """Return what costs least: a learned tile as it is, with a detail layer, or stored losslessly.

    The cost is bits + weight * squared error, summed over samples. samples, decoded: of the tile and of what
    it decodes to without detail, uint8 [h, w, 3]. weight: see error_weight. keen: take a detail layer that
    saves little.
    """
    plain = dataclasses.replace(parse_tile(learned.payload, 0), detail=None).pack()
    error = samples.astype(np.float32) - decoded
    squared = float(np.square(error).sum())
    best = learned._replace(payload=plain, detail=None, cost=8 * len(plain) + weight * squared)
    with_detail = _with_detail(model, best, error, weight, keen=keen)
    if with_detail is not None and with_detail.detail is not None:
        left = samples - add_detail(model, with_detail.detail, decoded, gray=False).astype(np.float32)
        cost = 8 * len(with_detail.payload) + weight * float(np.square(left).sum())
        if cost < (1 if keen else 1 - _LEAST_SHARE) * best.cost:
            hard = squared / error.size > _HARD_MSE * 2 ** ((_HARD_AT - learned.rate_index) / _HARD_HALVES)
            best = with_detail._replace(cost=cost, hard=hard)
    if may_be_lossless and may_pay(samples, math.ceil(best.cost / 8)):
        lossless = code_lossless(samples)
        if 8 * len(lossless.payload) < best.cost:
            best = lossless
    return best


def may_refine(learned: CodedTile, samples: NDArray[np.uint8], weight: float) -> bool:
    """Return False if refine_tile would hardly change a tile, as is so of most photographs.

    That is cheap to tell, where refine_tile takes what the tile decodes to. Arguments as for refine_tile.
    """
    saving = estimated_saving(unrepresented(samples, _UNREPRESENTED), step_code(weight))
    least = max(_LEAST_SAVING, _LEAST_SHARE * 8 * len(learned.payload))
    return saving > least or may_pay(samples, len(learned.payload))


def _with_detail(
    model: LoadedModel, learned: CodedTile, error: NDArray[np.float32], weight: float, *, keen: bool
) -> CodedTile | None:
    """Return a tile with a detail layer for its error, float32 [h, w, 3]; None if it is not worth trying."""
    if model.detail is None:
        return None
    step = step_code(weight)
    coefficients = {LAPPED: analyse_detail(error, LAPPED)}
    least = max(_LEAST_SAVING, _LEAST_SHARE * learned.cost)
    if not keen and estimated_saving(coefficients[LAPPED], step) < least:
        return None
    coefficients[BLOCKS] = analyse_detail(error, BLOCKS)
    transform = min(coefficients, key=lambda t: activity(coefficients[t], step))
    bit_worth = 1 / (weight * step_size(step) ** 2)
    detail, means, _ = quantise_detail(
        model.detail.tables, coefficients[transform], transform, step, bit_worth
    )
    words = model.detail.encode(detail.q, transform, means)
    payload = dataclasses.replace(
        parse_tile(learned.payload, 0), detail=DetailPayload(step, transform, detail_crc(detail.q), words)
    )
    return learned._replace(payload=payload.pack(), detail=TileDetail(detail, transform, step))


def tile_symbols(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    rate_index: int,
    present: NDArray[np.bool_] | None = None,
) -> TileSymbols:
    """Return the symbols of one tile of a picture [H, W, 3] at rate index 0..2560, at effort 0.

    present: where the picture has latents, bool [rows, columns]; None if everywhere.
    The networks compute in floating point, so the result is reproducible only on one thread per worker, as
    in map_ordered.
    """
    return quantise_tile(model, tile_latent(model, pixels, tile, rate_index, present), rate_index)


def tile_latent(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    rate_index: int,
    present: NDArray[np.bool_] | None = None,
) -> Floats:
    """Return the scaled latent of one tile, float32 [M, h, w]; arguments as for tile_symbols."""
    height, width = pixels.shape[:2]
    rows, columns = y_shape(width, height, model.config.z_stride)
    tile_rows, tile_columns = y_shape(tile.width, tile.height, model.config.z_stride)
    top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
    block = Block(top, left, top + tile_rows, left + tile_columns)
    return analyse(model, pixels, block, rows, columns, rate_index, present)


def encode_tile(
    model: LoadedModel,
    pixels: Samples,
    tile: Tile,
    *,
    rate_index: int,
    present: NDArray[np.bool_] | None = None,
) -> bytes:
    """Return the payload of one learned tile's chunk (FORMAT.md, "Tiles"); arguments as for tile_symbols."""
    return pack_symbols(model, tile_symbols(model, pixels, tile, rate_index, present), rate_index)


def pack_symbols(model: LoadedModel, symbols: TileSymbols, rate_index: int, offset: int = 0) -> bytes:
    """Return the payload of a TILE chunk. rate_index: the tile's own, 0..2560. offset: its rate offset."""
    words = model.coder.encode(symbols.z, symbols.r, symbols.scale_index, nearest_rate_point(rate_index))
    flags = FLAG_LIFT if symbols.lift else 0
    return TilePayload(flags, offset, symbol_crc(symbols.z, symbols.r), words).pack()
