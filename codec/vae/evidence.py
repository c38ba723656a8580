"""Compute the evidence lower bound: rate = -log2 p(latent), distortion = -log2 p(picture | latent).

p(x | y) is a Gaussian around x_hat over samples in [0, 1]. With sigma^2 = 3 / (2 ln 2 * lmbda * 255^2) its
exponent is lmbda * 255^2 * MSE bits per pixel, and its normalisation 1.5 * log2(2 pi sigma^2).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE
from codec.bitstream.rate_index import SCALE_COUNT, nearest_rate_point
from codec.entropy import coder
from codec.entropy.tables import PRECISION, EntropyTables
from codec.image.load import PictureLike, load_rgb
from codec.inference.threads import Progress, worker_count
from codec.tiles.quantise import TileSymbols
from codec.vae.picture_latents import PictureLatents, Setting, choose, decode_latents, encode_latents, joined

PEAK_SQUARED = 255.0**2


class _Costs(NamedTuple):
    """Bits of residuals by scale index: of |r|, float64 [64, longest], and of an escape, float64 [64]."""

    inside: NDArray[np.float64]
    escape: NDArray[np.float64]


@functools.lru_cache(maxsize=4)
def _costs(tables: EntropyTables) -> _Costs:
    inside = np.zeros((SCALE_COUNT, int(tables.r_half.max()) + 1))
    escape = np.zeros(SCALE_COUNT)
    for index in range(1, SCALE_COUNT):
        bits = PRECISION - np.log2(tables.r_table(index).astype(np.float64))
        half = int(tables.r_half[index])
        # Tables are symmetric except for rounding, so the mean of both signs is used.
        inside[index, : half + 1] = (bits[half : 2 * half + 1] + bits[half::-1]) / 2
        escape[index] = bits[-1]
    return _Costs(inside, escape)


def residual_bits(
    tables: EntropyTables, r: NDArray[np.int16], scale_index: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return the bits of each residual, float64 of the shape of r and scale_index.

    Escapes are included; residuals of scale index 0 cost nothing.
    """
    costs = _costs(tables)
    index, magnitude = scale_index.astype(np.int64), np.abs(r.astype(np.int32))
    half = tables.r_half[index]
    outside = (magnitude > half) & (index > 0)
    bits = costs.inside[index, np.minimum(magnitude, half)]
    if outside.any():
        n, _ = coder.escape_codes(r[outside].astype(np.int32), half[outside])
        bits[outside] = costs.escape[index[outside]] + coder.LENGTH_BITS + n
    return bits


def hyper_bits(tables: EntropyTables, z: NDArray[np.int16], rate_point: int) -> NDArray[np.float64]:
    """Return the bits of each hyper-latent z, [H, hz, wz], at a rate point 0..10: float64 of that shape."""
    bits = np.empty(z.shape)
    for channel in range(tables.z_channels):
        cost = PRECISION - np.log2(tables.z_table(rate_point, channel).astype(np.float64))
        bits[channel] = cost[z[channel].astype(np.int64) - int(tables.z_lo[rate_point, channel])]
    return bits


def cell_bits(
    tables: EntropyTables, symbols: TileSymbols, rate_point: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bits of z and of y at each latent position of a tile, both float64 [h, w].

    The bits of a hyper-latent are divided evenly among the positions that it covers.
    """
    bits_y = residual_bits(tables, symbols.r, symbols.scale_index).sum(0)
    bits_z = hyper_bits(tables, symbols.z, rate_point).sum(0)
    factor = bits_y.shape[0] // bits_z.shape[0]
    return np.kron(bits_z, np.full((factor, factor), factor**-2)), bits_y


@dataclasses.dataclass(frozen=True, eq=False)
class Elbo:
    """The negative evidence lower bound of one picture by 16x16 cell; properties are in bits per pixel.

    width, height: pixels. beta: 1 / lmbda. rate_index: 0..2560. cells_z, cells_y: bits of the latents of each
    cell, float64 [rows, columns]. cells_error: squared error of each cell over samples in [0, 1], summed over
    its pixels and averaged over channels, float64 [rows, columns].
    """

    width: int
    height: int
    beta: float
    rate_index: int
    cells_z: NDArray[np.float64]
    cells_y: NDArray[np.float64]
    cells_error: NDArray[np.float64]

    @property
    def rate_z(self) -> float:
        """-log2 p(z)."""
        return float(self.cells_z.sum()) / self._pixels

    @property
    def rate_y(self) -> float:
        """-log2 p(y | z)."""
        return float(self.cells_y.sum()) / self._pixels

    @property
    def mse(self) -> float:
        """Mean squared error over samples in [0, 1]."""
        return float(self.cells_error.sum()) / self._pixels

    @property
    def distortion(self) -> float:
        """lmbda * 255^2 * MSE: -log2 p(x | y) without its normalisation."""
        return PEAK_SQUARED * self.mse / self.beta

    @property
    def norm(self) -> float:
        """1.5 * log2(2 pi sigma^2): the normalisation of p(x | y), equal for all pictures."""
        return 1.5 * math.log2(2 * math.pi * variance(self.beta))

    @property
    def negative_elbo(self) -> float:
        """Upper bound of -log2 p(x), p(x) being a density over [0, 1], so it can be negative.

        Adding 24 gives an upper bound of the bits per pixel for coding the 8-bit samples losslessly.
        """
        return self.rate_z + self.rate_y + self.distortion + self.norm

    def cells(self) -> NDArray[np.float64]:
        """Return rate plus distortion by cell, in bits per pixel of a whole cell, float64 [rows, columns]."""
        total: NDArray[np.float64] = self.cells_by_part().sum(-1)
        return total

    def cells_by_part(self) -> NDArray[np.float64]:
        """Return rate and distortion of each cell, in the same unit, float64 [rows, columns, 2]."""
        parts = self.cells_z + self.cells_y, PEAK_SQUARED / self.beta * self.cells_error
        return np.stack(parts, axis=-1) / LATENT_STRIDE**2

    @property
    def _pixels(self) -> int:
        return self.width * self.height


def variance(beta: float) -> float:
    """Return sigma^2 of p(x | y), with samples in [0, 1]."""
    return 3 * beta / (2 * math.log(2) * PEAK_SQUARED)


def elbo(
    image: PictureLike,
    *,
    beta: float | None = None,
    quality: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Elbo:
    """Compute the negative ELBO of one picture; quality, 0..100, and beta as for `choose`.

    Raises UnsupportedImage, LimitExceeded or UsageError.
    """
    setting = choose(quality, beta)
    return elbo_of_pixels(load_rgb(image), setting, threads=worker_count(threads), progress=progress)


def elbo_of_pixels(
    pixels: NDArray[np.uint8], setting: Setting, *, threads: int, progress: Progress | None = None
) -> Elbo:
    """Compute the negative ELBO of samples uint8 [H, W, 3] for a setting."""
    model, rate_index = setting.model, setting.rate_index
    latents = encode_latents(model, pixels, rate_index, threads=threads, progress=progress)
    x_hat = decode_latents(model, latents, threads=threads)
    tables, rate_point = model.coder.tables, nearest_rate_point(rate_index)
    bits_z, bits_y = zip(
        *(cell_bits(tables, symbols, rate_point) for symbols in latents.symbols), strict=True
    )
    z, y = joined(latents, bits_z), joined(latents, bits_y)
    return Elbo(
        latents.width, latents.height, setting.beta, rate_index, z, y, _squared_error(pixels, x_hat, latents)
    )


def _squared_error(
    x: NDArray[np.uint8], x_hat: NDArray[np.uint8], latents: PictureLatents
) -> NDArray[np.float64]:
    """Return the squared error of each cell, summed over its pixels, float64 [rows, columns]."""
    error = np.square((x.astype(np.float64) - x_hat) / 255).mean(2)
    rows, columns = -(-latents.height // LATENT_STRIDE), -(-latents.width // LATENT_STRIDE)
    whole = np.zeros((rows * LATENT_STRIDE, columns * LATENT_STRIDE))
    whole[: latents.height, : latents.width] = error
    summed: NDArray[np.float64] = whole.reshape(rows, LATENT_STRIDE, columns, LATENT_STRIDE).sum((1, 3))
    return summed
