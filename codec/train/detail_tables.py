"""Fit the tables of the detail layer: weights of contexts, probabilities, and reconstruction points.

Weights are the least squares of abs(q), weighted by 1 / expectation**2 of the fit before. Probabilities are
counts at each scale index, with a little of a geometric distribution against gaps. Reconstruction points are
the mean of what was rounded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import Tile
from codec.bitstream.rate_index import SCALE_COUNT
from codec.bitstream.tile_payloads import TRANSFORMS
from codec.encode.tile_coder import tile_symbols
from codec.entropy.detail_coder import Step, mean_codes, offset_of, scale_indices_of, steps
from codec.entropy.detail_context import (
    CELL,
    COLOURS,
    DIAGONALS,
    FEATURES,
    LOCAL,
    PARITIES,
    POINTS,
    SHAPE_MAX,
    SIDE,
    SUM_MAX,
    Context,
    DetailTables,
    Integers,
    bands,
    largest_sums,
    members,
)
from codec.inference.weights import LoadedModel
from codec.tiles.detail import analyse_detail, quantise_detail
from codec.tiles.quantise import dequantise_tile
from codec.tiles.transforms import Block, synthesise
from codec.train.crops import draw_over
from codec.train.probability_tables import quantise_pmf

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

DETAIL_PICTURES = 48
# One picture in so many is drawn over, as well as used as it is.
DRAWN_EVERY = 6
# Rate index of the base and quantiser step: those that the encoder combines, and some around them.
PAIRS = (
    (0, 40.0),
    (1024, 24.0),
    (1280, 14.0),
    (0, 14.0),
    (1024, 10.0),
    (1536, 9.0),
    (1536, 6.0),
    (1280, 4.5),
    (2048, 5.0),
    (1536, 3.0),
)
# Side of the part of a picture that is a sample, a multiple of 16.
CROP = 256
DEAD_ZONE = 0.62
# Largest magnitude with a probability of its own, and the share of symbols beyond a table.
HALF_MAX = 255
TAIL = 2e-5
# Observations that the geometric distribution and a point of 0 count for.
PRIOR = 20.0
# What an error counts where nearly nothing is expected.
EXPECTED_LEAST, IMPORTANCE_MAX = 0.03, 300.0
# Ridge of the least squares: a share of the mean square of a feature.
RIDGE, RIDGE_LEAST = 1e-4, 1e-6
FEATURE_COUNT = len(FEATURES)
# What features and weights are multiples of.
VALUES = np.array([2.0**-4 if name in CELL else 1.0 for name in FEATURES])
UNITS = np.array([2.0**-16 if name in LOCAL else 2.0**-12 for name in FEATURES])
ONE = 1 << 12


class Sample(NamedTuple):
    """Coefficients of a part of a picture, in quantiser steps, before and after rounding."""

    transform: int
    exact: Floats
    q: Integers


class Observed(NamedTuple):
    """One coding step of a sample.

    where: index of the step's planes in q. mine: which of them it codes, bool [n, rows, columns]. features:
    by name, in 2**-4 for cells. expectation: in 2**-16.
    """

    step: Step
    where: tuple[Any, ...]
    mine: NDArray[np.bool_]
    features: dict[str, NDArray[Any]]
    expectation: Integers


def fit_detail(model: LoadedModel, tiles: Iterable[NDArray[np.uint8]]) -> DetailTables:
    """Return the tables of a model's detail layer, fitted to tiles, each uint8 [h, w, 3], h and w from 256.

    The tables are fitted twice: to rounded coefficients, then to those that an encoder chooses with the first
    tables.
    """
    rounded = list(_samples(model, tiles))
    weight = np.zeros((TRANSFORMS, COLOURS, DIAGONALS, PARITIES, FEATURE_COUNT), np.int32)
    weight[..., -1] = ONE
    half = np.ones(SCALE_COUNT, np.int32)
    half[0] = 0
    lean = np.zeros((SCALE_COUNT, POINTS), np.float32)
    start = DetailTables(weight, _shape(rounded), half, np.zeros(0, np.uint32), lean)
    tables = _fitted(rounded, start)
    chosen = [
        sample._replace(q=quantise_detail(tables, sample.exact, sample.transform, 0)[0].q.astype(np.int32))
        for sample in rounded
    ]
    tables = _fitted(chosen, dataclasses.replace(tables, shape=_shape(chosen)))
    tables.validate()
    return tables


def _samples(model: LoadedModel, tiles: Iterable[NDArray[np.uint8]]) -> Iterator[Sample]:
    """Yield samples of each tile and of those drawn over: at two rates and steps, by each transform."""
    rng = np.random.default_rng(0)
    natural = list(tiles)
    drawn = [draw_over(tile, rng) for tile in natural[DRAWN_EVERY - 1 :: DRAWN_EVERY]]
    for i, pixels in enumerate(natural + drawn):
        for rate_index, step in (PAIRS[2 * i % len(PAIRS)], PAIRS[(2 * i + 5) % len(PAIRS)]):
            error = pixels.astype(np.float32) - _decoded(model, pixels, rate_index)
            y, x = (int(rng.integers(0, (side - CROP) // SIDE + 1)) * SIDE for side in error.shape[:2])
            for transform in range(TRANSFORMS):
                exact = analyse_detail(error[y : y + CROP, x : x + CROP], transform) / np.float32(step)
                size = np.floor(np.abs(exact) + np.float32(1 - DEAD_ZONE))
                yield Sample(transform, exact, (np.sign(exact) * size).astype(np.int32))


def _decoded(model: LoadedModel, pixels: NDArray[np.uint8], rate_index: int) -> NDArray[np.uint8]:
    """Return what a picture of one tile decodes to at a rate index, without detail."""
    height, width = pixels.shape[:2]
    symbols = tile_symbols(model, pixels, Tile(0, 0, 0, width, height), rate_index)
    latents = dequantise_tile(model, symbols, rate_index)
    return synthesise(model, latents, Block(0, 0, *latents.shape[1:]), rate_index)[:height, :width]


def _fitted(samples: list[Sample], tables: DetailTables) -> DetailTables:
    """Return tables with weights, probabilities and points fitted to samples, the shape as it is."""
    for _ in range(2):
        tables = dataclasses.replace(tables, weight=_weights(samples, tables))
    counts, points = np.zeros((SCALE_COUNT, 2 * HALF_MAX + 1)), np.zeros((2, SCALE_COUNT, POINTS))
    for sample in samples:
        for seen in _observed(sample, tables):
            scale_index = scale_indices_of(seen.expectation[seen.mine])
            values, exact = sample.q[seen.where][seen.mine], np.abs(sample.exact[seen.where][seen.mine])
            np.add.at(counts, (scale_index, np.clip(values, -HALF_MAX, HALF_MAX) + HALF_MAX), 1)
            size = np.abs(values)
            coded = size > 0
            point = scale_index[coded], np.minimum(size[coded], POINTS) - 1
            np.add.at(points[0], point, (exact - size)[coded])
            np.add.at(points[1], point, 1)
    half, freq = _probabilities(counts)
    lean = (points[0] / (points[1] + PRIOR)).astype(np.float32)
    return dataclasses.replace(tables, half=half, freq=freq, lean=lean)


def _shape(samples: list[Sample]) -> Integers:
    """Return the mean magnitude of each frequency beside that of its band; equal for u, v and v, u."""
    total = np.zeros((TRANSFORMS, COLOURS, SIDE, SIDE))
    for sample in samples:
        mean = np.abs(sample.q).mean((3, 4))
        total[sample.transform] += mean / max(float(mean.mean()), 1e-9)
    total += total.swapaxes(2, 3)
    for own in bands():
        part = total[:, :, own.u, own.v]
        total[:, :, own.u, own.v] = part / part.mean(2, keepdims=True).clip(min=1e-9)
    return np.rint(ONE * total).clip(max=SHAPE_MAX).astype(np.int32)


def _observed(sample: Sample, tables: DetailTables) -> Iterator[Observed]:
    """Yield the coding steps of a sample, in order."""
    rows, columns = sample.q.shape[3:]
    context = Context(rows, columns)
    for step, code in steps(mean_codes(sample.q)):
        own, mine = bands()[step.band], members(step.band, step.parity, rows, columns)
        where = step.colour, own.u, own.v
        weight = tables.weight[sample.transform, step.colour, own.k, step.parity]
        expectation = context.expected(*step, weight, offset_of(tables, sample.transform, step, code))
        mean = offset_of(tables, sample.transform, step, code, unit=True) / 2.0**16
        features: dict[str, NDArray[Any]] = {**context.features(*step), "mean": mean[:, None, None]}
        yield Observed(step, where, mine, features, expectation)
        context.tell(*step, np.where(mine, np.abs(sample.q[where]), 0))


def _weights(samples: list[Sample], tables: DetailTables) -> Integers:
    """Return the weights of least squares; where no sample has coefficients, the mean alone counts."""
    squares = np.zeros((*tables.weight.shape, FEATURE_COUNT))
    products = np.zeros(tables.weight.shape)
    for sample in samples:
        for step, where, mine, features, expectation in _observed(sample, tables):
            k = bands()[step.band].k
            design = np.zeros((FEATURE_COUNT, *mine.shape), np.float32)
            for index, name in enumerate(FEATURES):
                if name in features:
                    design[index] = VALUES[index] * features[name]
            size = np.abs(sample.q[where])
            expected = np.maximum(expectation / 2.0**16, 0) + EXPECTED_LEAST
            importance = np.minimum(1 / expected**2, IMPORTANCE_MAX)
            for diagonal in np.unique(k):
                chosen = mine[k == diagonal]
                d, w = design[:, k == diagonal][:, chosen], importance[k == diagonal][chosen]
                at = sample.transform, step.colour, diagonal, step.parity
                squares[at] += (d * w) @ d.T
                products[at] += d @ (w * size[k == diagonal][chosen])
    trace = np.trace(squares, axis1=-2, axis2=-1)[..., None]
    ridge = RIDGE * trace / FEATURE_COUNT + RIDGE_LEAST
    products[..., -1] += RIDGE_LEAST
    solved = np.linalg.solve(squares + ridge[..., None] * np.eye(FEATURE_COUNT), products[..., None])[..., 0]
    weight: Doubles = np.rint(solved / UNITS)
    # Few pictures may give large weights of opposite signs.
    scale = np.minimum((SUM_MAX - 1) / largest_sums(weight).clip(min=1), 1)
    found: Integers = np.trunc(weight * scale[..., None]).astype(np.int32)
    return found


def _probabilities(counts: Doubles) -> tuple[Integers, NDArray[np.uint32]]:
    """Return `half` and `freq` of DetailTables from counts of values -255..255, [64, 511]."""
    counts = counts + counts[:, ::-1]
    size = np.abs(np.arange(-HALF_MAX, HALF_MAX + 1))
    half, tables = np.zeros(SCALE_COUNT, np.int32), []
    for scale_index in range(1, SCALE_COUNT):
        mean = 2.0 ** ((scale_index - 0.5) / 3 - 10)
        prior = (mean / (1 + mean)) ** size
        pmf = counts[scale_index] + PRIOR * prior / prior.sum()
        pmf /= pmf.sum()
        beyond = np.cumsum(pmf[::-1])[::-1][HALF_MAX:]
        most = int(np.clip(np.flatnonzero(2 * beyond > TAIL)[-1], 1, HALF_MAX))
        inside = pmf[HALF_MAX - most : HALF_MAX + most + 1]
        half[scale_index] = most
        tables.append(quantise_pmf(np.append(inside, max(1 - float(inside.sum()), 1e-6))))
    return half, np.concatenate(tables)
