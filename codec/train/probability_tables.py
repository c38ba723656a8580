"""Make integer probability tables from counts of the symbols that a trained model codes.

Residuals of one scale index have heavier tails than a Gaussian of that scale, since predicted scales are
inexact. A mixture of Gaussians is therefore fitted to the counts of each index.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.entropy.tables import TOTAL, Z_MAX, EntropyTables
from codec.errors import UsageError
from codec.model.config import SCALE_LOG_STEP, SCALE_MIN

if TYPE_CHECKING:
    from codec.train.model import TrainModel

# Largest magnitude of a residual that is counted separately.
R_LIMIT = 2048
# Standard deviations of the mixture's components, relative to the scale.
SPREADS = np.array([0.3, 0.5, 0.75, 1.0, 1.4, 2.0, 3.0, 5.0, 9.0])
EM_ITERATIONS = 60
# Weights of the priors, in counts: the mixture of the index below for r, the trained density for z.
R_PRIOR, Z_PRIOR = 300.0, 30.0
# Half-width of a table of residuals, relative to the scale.
TABLE_SPREAD = 7.0
# Values of z at the ends of a table that are less probable and not seen are left out.
Z_TAIL = 1e-5


def quantise_pmf(pmf: NDArray[Any]) -> NDArray[np.uint32]:
    """Round a distribution to integers k >= 1 that sum to exactly 2**24.

    pmf: float64 [n], n in 1..65536, entries >= 0 with a positive finite sum; it need not sum to 1.
    Every entry gets 1, the rest is distributed in proportion, and what rounding leaves goes to the largest
    remainders (ties: the lower index). Deterministic. Raises UsageError for an invalid pmf.
    """
    p = np.asarray(pmf, dtype=np.float64)
    if p.ndim != 1 or not 1 <= p.size <= 1 << 16 or not np.isfinite(p).all() or (p < 0).any():
        msg = "pmf: give 1..65536 finite non-negative numbers in one dimension"
        raise UsageError(msg, field="pmf")
    # fsum is exact, so the table does not depend on how numpy orders a vectorised sum.
    total = math.fsum(p.tolist())
    if not (0.0 < total < math.inf):
        msg = f"pmf: the sum must be positive and finite, it is {total}"
        raise UsageError(msg, field="pmf")
    share = p / total * (TOTAL - p.size)
    whole = np.floor(share)
    k = whole.astype(np.int64) + 1
    rest = TOTAL - int(k.sum())
    k[np.argsort(whole - share, kind="stable")[: max(rest, 0)]] += 1
    k[int(np.argmax(k))] += TOTAL - int(k.sum())
    return k.astype(np.uint32)


class SymbolCounts:
    """Histograms of symbols, int64. r: |r| by scale index, [64, 2049]. z: by rate point, [11, H, 255]."""

    def __init__(self, channels: int) -> None:
        self.r = np.zeros((SCALE_COUNT, R_LIMIT + 1), np.int64)
        self.z = np.zeros((RATE_POINTS, channels, 2 * Z_MAX + 1), np.int64)

    def add(
        self, z: NDArray[np.int64], r: NDArray[np.int64], scale_index: NDArray[np.int64], rate_point: int
    ) -> None:
        """Count one picture's symbols: z [H, ., .], r and scale_index [M, ., .]."""
        magnitude = np.minimum(np.abs(r), R_LIMIT).ravel()
        joint = scale_index.ravel() * (R_LIMIT + 1) + magnitude
        self.r += np.bincount(joint, minlength=self.r.size).reshape(self.r.shape)
        values = np.clip(z, -Z_MAX, Z_MAX) + Z_MAX
        for channel, row in enumerate(values.reshape(values.shape[0], -1)):
            self.z[rate_point, channel] += np.bincount(row, minlength=2 * Z_MAX + 1)


@torch.no_grad()
def count_symbols(model: TrainModel, pictures: torch.Tensor) -> SymbolCounts:
    """Count the symbols of pictures, uint8 [N, 3, H, W], at all rate points and between them."""
    counts = SymbolCounts(model.config.h)
    net = model.network
    for index, picture in enumerate(pictures):
        y_plain = net.g_a((picture[None].float() / 255).contiguous(memory_format=torch.channels_last))
        for rate_point in range(RATE_POINTS):
            # Alternate between the rate point and both sides of it, since files use all rate indices.
            between = min(RATE_POINTS - 1.0, max(0.0, rate_point + (0.0, 0.4, -0.4)[index % 3]))
            q = torch.tensor([between])
            y = net.scale_latent(y_plain, q)
            symbols, _ = model.quantise(y, net.h_a(y), q)
            parts = (symbols.z, symbols.r, symbols.scale_index)
            z, r, scale_index = (t[0].numpy().astype(np.int64) for t in parts)
            counts.add(z, r, scale_index, rate_point)
    return counts


def _magnitude_bins(sigma: float, half: int) -> NDArray[np.float64]:
    """Return the probabilities of |r| = 0..half and of larger ones, for each spread: [9, half + 2]."""
    edges = (np.arange(half + 1) + 0.5) / (sigma * SPREADS[:, None])
    upper = 2 * torch.special.ndtr(torch.from_numpy(-edges)).numpy()
    return np.concatenate([1 - upper[:, :1], upper[:, :-1] - upper[:, 1:], upper[:, -1:]], 1)


def _fit_mixture(
    bins: NDArray[np.float64], counts: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weights of the mixture by expectation maximisation with a prior."""
    weights = prior.copy()
    for _ in range(EM_ITERATIONS):
        joint = weights[:, None] * bins
        share = joint / joint.sum(0).clip(1e-300)
        mass = (share * counts).sum(1) + R_PRIOR * prior
        weights = mass / mass.sum()
    return weights


def residual_tables(counts: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """Return `r_half` and `r_freq` of EntropyTables from counts [64, 2049]."""
    halves = np.zeros(SCALE_COUNT, np.int32)
    tables = []
    prior = np.full(SPREADS.size, 0.02)
    prior[3] = 1 - prior.sum() + prior[3]
    for index in range(1, SCALE_COUNT):
        sigma = SCALE_MIN * np.exp(index * SCALE_LOG_STEP)
        half = int(max(2, np.ceil(TABLE_SPREAD * sigma)))
        bins = _magnitude_bins(sigma, half)
        seen = np.append(counts[index, : half + 1], counts[index, half + 1 :].sum()).astype(np.float64)
        seen = np.pad(seen, (0, half + 2 - seen.size)) if seen.size < half + 2 else seen
        prior = _fit_mixture(bins, seen, prior)
        magnitude = prior @ bins
        sides = magnitude[1:-1] / 2
        pmf = np.concatenate([sides[::-1], magnitude[:1], sides, magnitude[-1:]])
        halves[index] = half
        tables.append(quantise_pmf(pmf / pmf.sum()))
    return halves, np.concatenate(tables)


@torch.no_grad()
def _density_pmf(model: TrainModel) -> NDArray[np.float64]:
    """Return the trained probabilities of z = -127..127: [11, H, 255]."""
    grid = torch.arange(-Z_MAX, Z_MAX + 1).float().repeat(RATE_POINTS * model.config.h, 1, 1)
    likelihood, _, _ = model.density._likelihood(grid)
    pmf: NDArray[np.float64] = likelihood.reshape(RATE_POINTS, model.config.h, -1).double().numpy()
    return pmf


def hyper_tables(
    counts: NDArray[np.int64], density: NDArray[np.float64]
) -> tuple[NDArray[np.int16], NDArray[np.int32], NDArray[np.uint32]]:
    """Return `z_lo`, `z_size`, `z_freq` of EntropyTables from counts and trained densities, [11, H, 255]."""
    points, channels = counts.shape[:2]
    low = np.zeros((points, channels), np.int16)
    size = np.zeros((points, channels), np.int32)
    tables = []
    for rate_point in range(points):
        for channel in range(channels):
            seen = counts[rate_point, channel]
            pmf = seen + Z_PRIOR * density[rate_point, channel] / density[rate_point, channel].sum() + 1e-9
            pmf = pmf / pmf.sum()
            kept = np.flatnonzero((pmf > Z_TAIL) | (seen > 0))
            first, last = int(kept[0]), int(kept[-1])
            low[rate_point, channel], size[rate_point, channel] = first - Z_MAX, last - first + 1
            part = pmf[first : last + 1]
            tables.append(quantise_pmf(part / part.sum()))
    return low, size, np.concatenate(tables)


def make_tables(model: TrainModel, pictures: torch.Tensor) -> EntropyTables:
    """Return all tables of a trained model, from its symbols of pictures, uint8 [N, 3, H, W]."""
    counts = count_symbols(model, pictures)
    halves, r_freq = residual_tables(counts.r)
    low, size, z_freq = hyper_tables(counts.z, _density_pmf(model))
    tables = EntropyTables(halves, r_freq, low, size, z_freq)
    tables.validate()
    return tables
