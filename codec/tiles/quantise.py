"""Quantise the latent of a tile in four steps with context, and reconstruct it from its symbols."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.rate_index import nearest_rate_point
from codec.entropy import steps
from codec.entropy.coder import TileDecoder
from codec.entropy.steps import STEPS
from codec.entropy.tables import R_MAX
from codec.inference.scale_network import ScaleStart, dead_zone, factors
from codec.inference.weights import LoadedModel

Floats = NDArray[np.float32]

# Step, y - mu and scale index, both [4, Q, h2, w2] of that step -> r, whole numbers as float of that shape.
Decide: TypeAlias = Callable[[int, Floats, NDArray[np.uint8]], Floats]
# Bits that one squared quantiser step of error is worth at the slope each rate point was trained for:
# 12 / (2 ln 2), from step^2 / 12 = 3 / (2 ln 2 lmbda 255^2).
BITS_PER_SQUARED_STEP = 8.66
# What coding a value far outside a table of scale index 1 costs in bits, generously.
OUTLIER_BITS = 40.0
LIFT_GAIN_BITS = 64.0


@dataclasses.dataclass(frozen=True)
class TileSymbols:
    """What one tile's codestream holds.

    Attributes:
        z: int16 [H, hz, wz].
        r: int16 [M, h, w], zero where scale_index is 0.
        scale_index: uint8 [M, h, w], lifted where `lift` is set.
        lift: whether index 0 was raised to 1.
    """

    z: NDArray[np.int16]
    r: NDArray[np.int16]
    scale_index: NDArray[np.uint8]
    lift: bool


class _Context:
    """The means of a tile, step by step, from its hyper-latents and what its steps so far became.

    inside: 1 within the tile, 0 beyond an odd side, float [4, 1, h2, w2].
    """

    def __init__(self, model: LoadedModel, z: NDArray[np.int16], rate_index: int) -> None:
        self._run = model.runner.run
        rate = factors(model.arrays["h_s_mean.rate.log_scale"], rate_index)[None, :, None, None]
        inputs = {"z": z[None].astype(np.float32), "rate": rate}
        features = self._run("hyper_mean", inputs)
        height, width = features[0].shape[2:]
        # The steps work on whole 2x2.
        odd = ((0, 0), (0, 0), (0, height % 2), (0, width % 2))
        self._features = [np.pad(part, odd) if height % 2 or width % 2 else part for part in features]
        rows, columns = self._features[0].shape[2:]
        self._inside = np.zeros((1, 1, rows, columns), np.float32)
        self._inside[..., :height, :width] = 1
        self._grid = np.array([1, -1, rows // 2, columns // 2], np.int64)
        self._known: list[Floats] = []
        squares = self._inside.reshape(rows // 2, 2, columns // 2, 2)
        self.inside = squares.transpose(1, 3, 0, 2).reshape(STEPS, 1, rows // 2, columns // 2)

    def mean(self, step: int) -> Floats:
        """Return the means of a step, float [4, Q, h2, w2]."""
        inputs: dict[str, NDArray[Any]] = {"features": self._features[step]}
        if step:
            known = np.concatenate(self._known, 1)
            inputs |= {
                "inside": self._inside,
                "known": known.reshape(*known.shape[:2], -1),
                "grid": self._grid,
            }
        mu = self._run(f"mean{step}", inputs)[0]
        return mu.reshape(*mu.shape[:2], *self._grid[2:])

    def tell(self, y_hat: Floats) -> None:
        """Note what the next step became, float [4, Q, h2, w2]."""
        self._known.append(y_hat)


def nearest(_step: int, exact: Floats, index: NDArray[np.uint8]) -> Floats:
    """Decide by distance alone: round, with the dead zone that the networks were trained with."""
    whole = np.clip(np.rint(exact), -R_MAX, R_MAX)
    whole[np.abs(exact) < dead_zone()[index]] = 0
    return whole


def _walk(
    model: LoadedModel,
    start: ScaleStart,
    context: _Context,
    y: Floats,
    rate_index: int,
    lift: bool,
    decide: Decide = nearest,
) -> tuple[NDArray[np.int16], NDArray[np.uint8], float]:
    """Quantise y [M, h, w] in four steps: r, scale_index, and the bits that coding the zeros is worth."""
    r, scale_index = np.zeros(y.shape, np.int16), np.zeros(y.shape, np.uint8)
    lean = model.arrays["lean"]
    known = np.zeros((STEPS, 0, *steps.shape(*y.shape)[2:]), np.int16)
    missed = 0.0
    for step in range(STEPS):
        index = model.scale.step_index(step, start, known, rate_index, lift=lift)
        mu = context.mean(step)
        exact = (steps.take(y, step) - mu) * context.inside
        whole = decide(step, exact, index)
        missed += _worth(exact, whole, (whole != 0) & (index == 0))
        whole[index == 0] = 0
        context.tell(_reconstructed(mu, whole, lean[index]))
        integers = whole.astype(np.int16)
        steps.put(r, step, integers)
        steps.put(scale_index, step, index)
        known = np.concatenate([known, integers], 1)
    return r, scale_index, missed


def _reconstructed(mu: Floats, r: Floats, lean: Floats) -> Floats:
    """Reconstruction points mu + r + sign(r) * lean (FORMAT.md, "Means")."""
    found: Floats = np.sign(r)
    found *= lean
    found += r
    found += mu
    return found


def _worth(exact: Floats, r: Floats, where: NDArray[np.bool_]) -> float:
    """Bits that coding residuals r of exact values is worth at some places, most often none."""
    e, whole = exact[where], r[where]
    gain = BITS_PER_SQUARED_STEP * (np.square(e) - np.square(e - whole)) - OUTLIER_BITS
    return float(gain.clip(min=0).sum())


def hyper_latents(model: LoadedModel, y: Floats) -> Floats:
    """Return z before rounding, float32 [H, hz, wz], of a tile's scaled latent [M, h, w]."""
    inputs = {"y": np.copysign(np.log1p(np.abs(y)), y)[None]}
    z: Floats = model.runner.run("hyper_analysis", inputs)[0][0]
    return z


def quantise_tile(model: LoadedModel, y: Floats, rate_index: int) -> TileSymbols:
    """Turn a tile's scaled latent y, float32 [M, h, w], into symbols; rate_index 0..2560."""
    z = model.coder.tables.clamp_z(np.rint(hyper_latents(model, y)), nearest_rate_point(rate_index))
    start = model.scale.start(z)
    r, scale_index, missed = _walk(model, start, _Context(model, z, rate_index), y, rate_index, False)
    lift = missed > LIFT_GAIN_BITS
    if lift:
        r, scale_index, _ = _walk(model, start, _Context(model, z, rate_index), y, rate_index, True)
    return TileSymbols(z, r, scale_index, lift)


def quantise_given(
    model: LoadedModel, z: NDArray[np.int16], y: Floats, rate_index: int, decide: Decide
) -> TileSymbols:
    """As quantise_tile, with hyper-latents z, int16 [H, hz, wz], that are settled, and residuals as decided.

    No tile is lifted.
    """
    start = model.scale.start(z)
    r, scale_index, _ = _walk(model, start, _Context(model, z, rate_index), y, rate_index, False, decide)
    return TileSymbols(z, r, scale_index, False)


def decode_residuals(
    model: LoadedModel, decoder: TileDecoder, z: NDArray[np.int16], rate_index: int, lift: bool
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Decode the four steps of a tile whose z has been read: r int16 and scale_index uint8, [M, h, w]."""
    start = model.scale.start(z)
    r = np.zeros(start.shape, np.int16)
    scale_index = np.zeros(start.shape, np.uint8)
    known = np.zeros((STEPS, 0, *steps.shape(*start.shape)[2:]), np.int16)
    for step in range(STEPS):
        index = model.scale.step_index(step, start, known, rate_index, lift=lift)
        steps.put(scale_index, step, index)
        r = decoder.r(scale_index)
        known = np.concatenate([known, steps.take(r, step)], 1)
    return r, scale_index


def dequantise_tile(model: LoadedModel, symbols: TileSymbols, rate_index: int) -> Floats:
    """Rebuild what g_s takes, float32 [M, h, w], from a tile's symbols and its own rate index 0..2560."""
    context = _Context(model, symbols.z, rate_index)
    y_hat = np.empty(symbols.r.shape, np.float32)
    lean = model.arrays["lean"]
    for step in range(STEPS):
        r = steps.take(symbols.r, step).astype(np.float32)
        part = _reconstructed(context.mean(step), r, lean[steps.take(symbols.scale_index, step)])
        context.tell(part)
        steps.put(y_hat, step, part)
    y_hat *= factors(model.arrays["inverse_gain"], rate_index)[:, None, None]
    return y_hat
