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

# (step, y - mu, scale index), the last two [4, Q, h2, w2] of that step -> r, integers as float32, same shape.
Decide: TypeAlias = Callable[[int, Floats, NDArray[np.uint8]], Floats]
# Bits equivalent to an error of one squared quantiser step at the slope each rate point was trained for:
# 12 / (2 ln 2), from step^2 / 12 = 3 / (2 ln 2 lmbda 255^2).
BITS_PER_SQUARED_STEP = 8.66
# Upper estimate of the bits of a value far outside the table of scale index 1.
OUTLIER_BITS = 40.0
# A tile is lifted if coding its residuals of scale index 0 gains more than this.
LIFT_GAIN_BITS = 64.0


@dataclasses.dataclass(frozen=True)
class TileSymbols:
    """The symbols of one tile's codestream.

    Attributes:
        z: int16 [H, hz, wz].
        r: int16 [M, h, w], zero where scale_index is 0.
        scale_index: uint8 [M, h, w], lifted where `lift` is set.
        lift: True if scale index 0 is raised to 1, so that every residual is coded.
    """

    z: NDArray[np.int16]
    r: NDArray[np.int16]
    scale_index: NDArray[np.uint8]
    lift: bool


class _Context:
    """Predict the means of a tile step by step, from its hyper-latents and the steps already reconstructed.

    inside: 1 within the tile, 0 in the padding of an odd side, float32 [4, 1, h2, w2].
    """

    def __init__(self, model: LoadedModel, z: NDArray[np.int16], rate_index: int) -> None:
        self._run = model.runner.run
        rate = factors(model.arrays["h_s_mean.rate.log_scale"], rate_index)[None, :, None, None]
        inputs = {"z": z[None].astype(np.float32), "rate": rate}
        features = self._run("hyper_mean", inputs)
        height, width = features[0].shape[2:]
        # The steps need whole 2x2 squares.
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
        """Return the means of a step, float32 [4, Q, h2, w2]."""
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

    def append(self, y_hat: Floats) -> None:
        """Add the reconstruction of the next step, float32 [4, Q, h2, w2], to the context."""
        self._known.append(y_hat)


def nearest(_step: int, exact: Floats, index: NDArray[np.uint8]) -> Floats:
    """Round to the nearest integer, with the dead zone that the networks were trained with."""
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
    """Quantise y [M, h, w] in four steps; return r, scale_index, and the gain in bits of lifting the tile."""
    r, scale_index = np.zeros(y.shape, np.int16), np.zeros(y.shape, np.uint8)
    lean = model.arrays["lean"]
    known = np.zeros((STEPS, 0, *steps.shape(*y.shape)[2:]), np.int16)
    gain = 0.0
    for step in range(STEPS):
        index = model.scale.step_index(step, start, known, rate_index, lift=lift)
        mu = context.mean(step)
        exact = (steps.take(y, step) - mu) * context.inside
        whole = decide(step, exact, index)
        gain += _gain_of_coding(exact, whole, (whole != 0) & (index == 0))
        whole[index == 0] = 0
        context.append(_reconstructed(mu, whole, lean[index]))
        integers = whole.astype(np.int16)
        steps.put(r, step, integers)
        steps.put(scale_index, step, index)
        known = np.concatenate([known, integers], 1)
    return r, scale_index, gain


def _reconstructed(mu: Floats, r: Floats, lean: Floats) -> Floats:
    """Return the reconstruction points mu + r + sign(r) * lean (FORMAT.md, "Means")."""
    y_hat: Floats = np.sign(r)
    y_hat *= lean
    y_hat += r
    y_hat += mu
    return y_hat


def _gain_of_coding(exact: Floats, r: Floats, where: NDArray[np.bool_]) -> float:
    """Return the bits gained by coding r rather than 0 for the exact values at some places; most often 0."""
    e, whole = exact[where], r[where]
    gain = BITS_PER_SQUARED_STEP * (np.square(e) - np.square(e - whole)) - OUTLIER_BITS
    return float(gain.clip(min=0).sum())


def hyper_latents(model: LoadedModel, y: Floats) -> Floats:
    """Return z before rounding, float32 [H, hz, wz], of a tile's scaled latent [M, h, w]."""
    inputs = {"y": np.copysign(np.log1p(np.abs(y)), y)[None]}
    z: Floats = model.runner.run("hyper_analysis", inputs)[0][0]
    return z


def quantise_tile(model: LoadedModel, y: Floats, rate_index: int) -> TileSymbols:
    """Quantise a tile's scaled latent y, float32 [M, h, w], at rate_index 0..2560; choose its lift flag."""
    z = model.coder.tables.clamp_z(np.rint(hyper_latents(model, y)), nearest_rate_point(rate_index))
    start = model.scale.start(z)
    r, scale_index, gain = _walk(model, start, _Context(model, z, rate_index), y, rate_index, False)
    lift = gain > LIFT_GAIN_BITS
    if lift:
        r, scale_index, _ = _walk(model, start, _Context(model, z, rate_index), y, rate_index, True)
    return TileSymbols(z, r, scale_index, lift)


def quantise_given(
    model: LoadedModel, z: NDArray[np.int16], y: Floats, rate_index: int, decide: Decide
) -> TileSymbols:
    """Quantise a tile as quantise_tile does, with given hyper-latents and another choice of residuals.

    z: int16 [H, hz, wz]. decide: chooses the residuals of each step. The tile is never lifted.
    """
    start = model.scale.start(z)
    r, scale_index, _ = _walk(model, start, _Context(model, z, rate_index), y, rate_index, False, decide)
    return TileSymbols(z, r, scale_index, False)


def decode_residuals(
    model: LoadedModel, decoder: TileDecoder, z: NDArray[np.int16], rate_index: int, lift: bool
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Decode the four steps of a tile after its z; return r int16 and scale_index uint8, both [M, h, w].

    decoder: has already decoded z, int16 [H, hz, wz]. rate_index: the tile's own, 0..2560. lift: its flag.
    """
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
    """Return the unscaled latent for g_s, float32 [M, h, w], from a tile's symbols and rate index 0..2560."""
    context = _Context(model, symbols.z, rate_index)
    y_hat = np.empty(symbols.r.shape, np.float32)
    lean = model.arrays["lean"]
    for step in range(STEPS):
        r = steps.take(symbols.r, step).astype(np.float32)
        part = _reconstructed(context.mean(step), r, lean[steps.take(symbols.scale_index, step)])
        context.append(part)
        steps.put(y_hat, step, part)
    y_hat *= factors(model.arrays["inverse_gain"], rate_index)[:, None, None]
    return y_hat
