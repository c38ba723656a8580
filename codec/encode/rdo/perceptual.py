"""The perceptual error metric, and the choice of residuals by it.

The metric approximates the largest term of SSIMULACRA2: SSIM of luma at a quarter of the size. To second
order, an error costs its local variance in that luma, divided by the local variance of the picture, which
masks it. Colour and details finer than eight pixels do not count; a share of the squared error covers them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE
from codec.encode.rdo.decision import Floats, RateDistortionDecision, step_bits
from codec.encode.tile_view import TileView
from codec.image.picture import BT601
from codec.inference.weights import LoadedModel
from codec.model.config import COLOURS
from codec.model.lapped_filter import HALF
from codec.tiles.quantise import TileSymbols, quantise_given

# Standard deviation of SSIM's window and its constant C2 in SSIMULACRA2: 0.0009 with white at a luma of 0.9.
DEVIATION, C2 = 1.5, 0.0009 * (255 / 0.9) ** 2
# Factor by which the sides of luma are reduced, and samples of the reduced luma along a latent position.
SCALE = 4
PLACES = LATENT_STRIDE // SCALE
# Radius of the window, in samples of the reduced luma.
RADIUS = 5
_LUMA = np.array(BT601, np.float32)

# Weight of a residual's own bits in its cost.
OWN_SHARE = 0.7
# Weights of squared and of perceptual error, relative to the squared error of `--tune psnr`. On 7 held-out
# training pictures a squared weight of 0.3 saved 9.4 % and 0.5 saved 7.3 % of the bits by SSIMULACRA2, and
# they cost 5.5 % and 1.6 % by PSNR. For decisions on single residuals the perceptual weight is so high that
# visible residuals are rounded. For gradient descent, on 4 held-out pictures, weights of 4, 16 and 40 saved
# 11.0 %, 15.0 % and 14.0 %, and cost 0.4 %, 2.9 % and 6.3 % by PSNR.
SQUARED_WEIGHT, DECISION_WEIGHT, PERCEPTUAL_WEIGHT = 0.5, 64.0, 16.0


class PerceptualError:
    """Perceptual error of distorted versions of one picture, uint8 [h, w, 3], sides multiples of 4."""

    def __init__(self, x: NDArray[np.uint8]) -> None:
        small = _reduced(x.astype(np.float32) @ _LUMA)
        self._windows = _window(small.shape[0]), _window(small.shape[1])
        self._share = _unmasked(small)

    def __call__(self, e: Any, wrap: Callable[[Floats], Any] = np.asarray) -> Any:
        """Return the perceptual error of e = x_hat - x, float [h, w, 3], as a scalar in squared levels.

        e: an array, or a tensor if wrap turns arrays into tensors. The result is about the sum of squares of
        e if e is coarse structure of luma in a flat part of the picture, and less otherwise.
        """
        down, across = map(wrap, self._windows)
        variance = _variance(_reduced(e @ wrap(_LUMA)), down, across)
        return COLOURS * SCALE**2 * (variance * wrap(self._share)).sum()


@functools.lru_cache(maxsize=4)
def perceptual_shares(model: LoadedModel) -> Floats:
    """Return the share of each channel's energy that is structure of luma at a quarter of the size.

    float32 [M], from 0 to about 1. Energy is that before the lapped filter, as in step_bits.
    """
    linear = model.arrays["g_s.linear.weight"][:, :, 0, 0]
    unpatch = model.arrays["g_s.unpatch.weight"][:, :, 0, 0].reshape(3, 8, 8, -1)
    columns = np.einsum("cyxp,pqm->mcqyx", unpatch, linear.reshape(unpatch.shape[-1], 4, -1), optimize=True)
    energy = np.square(columns).sum((1, 2, 3, 4))
    luma = np.tensordot(columns, _LUMA, (1, 0)).reshape(-1, 2, 2, 8, 8)
    block = luma.swapaxes(2, 3).reshape(-1, LATENT_STRIDE, LATENT_STRIDE)
    spread = _spread(model.arrays["g_s.unlap.matrix"])
    small = spread @ block @ spread.T
    window = _window(small.shape[1])
    structure = np.square(small).sum((1, 2)) - np.square(window @ small @ window.T).sum((1, 2))
    # Averaging SCALE^2 samples divides the energy by that; equal channels have COLOURS times that of luma.
    return np.asarray(COLOURS * SCALE**2 * structure / energy, np.float32)


def unmasked(samples: NDArray[np.uint8], rows: int, columns: int) -> Floats:
    """Return the share of an error at each latent position that is not masked: float32 [rows, columns], 0..1.

    samples: of the tile, uint8 [h, w, 3].
    """
    height, width = samples.shape[:2]
    missing = ((0, rows * LATENT_STRIDE - height), (0, columns * LATENT_STRIDE - width))
    luma = np.pad(samples.astype(np.float32) @ _LUMA, missing, mode="edge")
    small = _reduced(luma)
    share = _unmasked(small)
    return np.asarray(share.reshape(rows, PLACES, columns, PLACES).mean((1, 3)), np.float32)


def _reduced(luma: Any) -> Any:
    """Return the means over squares of SCALE x SCALE samples."""
    height, width = luma.shape
    return luma.reshape(height // SCALE, SCALE, width // SCALE, SCALE).mean((1, 3))


def _variance(small: Any, down: Any, across: Any) -> Any:
    """Return the variance in the window around each sample."""
    mean = down @ small @ across.T
    return down @ (small * small) @ across.T - mean * mean


def _unmasked(small: Floats) -> Floats:
    """Return the share of an error at each sample of a reduced luma that is not masked, 0..1."""
    variance = _variance(small - small.mean(), *(_window(size) for size in small.shape))
    return np.asarray(C2 / (C2 + 2 * variance.clip(min=0)), np.float32)


def _spread(matrix: Floats) -> Floats:
    """Return the lapped filter followed by means over SCALE, along one side of a block: float32 [32, 16].

    matrix: of the filter. The output covers the block, its neighbours, and zeros for complete windows.
    """
    around = np.zeros((3 * LATENT_STRIDE, LATENT_STRIDE), np.float32)
    around[LATENT_STRIDE : 2 * LATENT_STRIDE] = np.eye(LATENT_STRIDE)
    for start in (LATENT_STRIDE - HALF, 2 * LATENT_STRIDE - HALF):
        part = np.s_[start : start + LATENT_STRIDE]
        around[part] = matrix @ around[part]
    return np.pad(around.reshape(-1, SCALE, LATENT_STRIDE).mean(1), ((2 * RADIUS, 2 * RADIUS), (0, 0)))


@functools.lru_cache(maxsize=16)
def _window(size: int) -> Floats:
    """Return the window around each of `size` samples in a row: float32 [size, size], rows of sum 1."""
    places = np.arange(size)
    apart = places[:, None] - places
    bell = np.exp(-0.5 * (apart / DEVIATION) ** 2) * (np.abs(apart) <= RADIUS)
    return np.asarray(bell / bell.sum(1, keepdims=True), np.float32)


def decide_perceptually(
    model: LoadedModel, view: TileView, symbols: TileSymbols, rate_index: int
) -> TileSymbols:
    """Choose the residuals of a tile again by perceptual error. rate_index: the tile's own, 0..2560."""
    y = view.latent(model, rate_index)
    weight = perceptual_step_bits(model, view, rate_index, DECISION_WEIGHT)
    decide = RateDistortionDecision(model, weight, OWN_SHARE)
    return quantise_given(model, symbols.z, y, rate_index, decide)


def perceptual_step_bits(model: LoadedModel, view: TileView, rate_index: int, weight: float) -> Floats:
    """Return step_bits for perceptual error, at each position of a tile: float32 [M, h, w].

    weight: of perceptual error, DECISION_WEIGHT or PERCEPTUAL_WEIGHT.
    """
    visible = perceptual_shares(model)[:, None, None] * unmasked(view.samples, view.rows, view.columns)
    return np.asarray(
        step_bits(model, rate_index)[:, None, None] * (SQUARED_WEIGHT + weight * visible), np.float32
    )
