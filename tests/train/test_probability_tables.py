from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

pytest.importorskip("codec.train.model", reason="needs compressai: see README, Training")

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.entropy.tables import TOTAL, EntropyTables
from codec.model.config import SCALE_LOG_STEP, SCALE_MIN
from codec.train.probability_tables import R_LIMIT, SymbolCounts, hyper_tables, quantise_pmf, residual_tables


def sigma_of(index):
    return SCALE_MIN * np.exp(index * SCALE_LOG_STEP)


def counts_of(draw, n=20_000, seed=0):
    """Return counts of |r| by index, as SymbolCounts collects them, of n samples of draw(rng, sigma, n)."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((SCALE_COUNT, R_LIMIT + 1), np.int64)
    for index in range(1, SCALE_COUNT):
        r = np.minimum(np.abs(np.rint(draw(rng, sigma_of(index), n))), R_LIMIT).astype(int)
        counts[index] = np.bincount(r, minlength=R_LIMIT + 1)
    return counts


def gaussian_table(index, half):
    edges = (np.arange(half + 1) + 0.5) / sigma_of(index)
    upper = 2 * ndtr(-edges)
    sides = (upper[:-1] - upper[1:]) / 2
    return quantise_pmf(np.concatenate([sides[::-1], [1 - upper[0]], sides, [upper[-1]]]))


def cost(freq, half, counts):
    """Return the bits of all symbols of an index, with escapes as one symbol."""
    bits = -np.log2(freq / TOTAL)
    seen = np.append(counts[: half + 1], counts[half + 1 :].sum())
    both = (bits[half : 2 * half + 1] + bits[half::-1]) / 2
    return float(seen[:-1] @ both + seen[-1] * bits[-1])


def levels_of(counts):
    halves, freq = residual_tables(counts)
    sizes = 2 * halves[1:].astype(int) + 2
    parts = np.split(freq, np.cumsum(sizes)[:-1])
    return halves, dict(enumerate(parts, 1))


def test_tables_are_valid():
    rng = np.random.default_rng(1)
    counts = counts_of(lambda r, s, n: r.laplace(0, s, n), n=500)
    counts[5:9] = 0
    halves, r_freq = residual_tables(counts)
    z = rng.integers(0, 50, (RATE_POINTS, 3, 255))
    z[:, 0] = 0
    z[:, 0, 127] = 10_000
    z[:, 1, :100] = z[:, 1, 150:] = 0
    density = np.exp(-np.abs(np.arange(-127, 128)) / rng.uniform(0.1, 3, (RATE_POINTS, 3, 1)))
    low, size, z_freq = hyper_tables(z, density)
    tables = EntropyTables(halves, r_freq, low, size, z_freq)
    tables.validate()
    for rate_point in range(RATE_POINTS):
        seen = np.flatnonzero(z[rate_point, 2]) - 127
        assert low[rate_point, 2] <= seen.min()
        assert low[rate_point, 2] + size[rate_point, 2] - 1 >= seen.max()


def test_symbols_that_never_occur_cost_little():
    """A channel that is always 0 must take nearly no bits."""
    z = np.zeros((RATE_POINTS, 1, 255), np.int64)
    z[..., 127] = 100_000
    density = np.exp(-np.abs(np.arange(-127, 128.0)))[None, None].repeat(RATE_POINTS, 0)
    low, size, freq = hyper_tables(z, density)
    for rate_point in range(RATE_POINTS):
        own = freq[size.ravel()[:rate_point].sum() :][: size[rate_point, 0]]
        assert -np.log2(own[-low[rate_point, 0]] / TOTAL) < 0.01


def test_gaussian_symbols_cost_what_gaussian_tables_cost():
    counts = counts_of(lambda r, s, n: r.normal(0, s, n))
    halves, tables = levels_of(counts)
    for index, freq in tables.items():
        half = int(halves[index])
        fair = cost(gaussian_table(index, half), half, counts[index])
        # The prior's mass in the tails costs at most 1/200 bit where symbols are almost certain.
        assert cost(freq, half, counts[index]) <= 1.002 * fair + counts[index].sum() / 200


@pytest.mark.parametrize("draw", [lambda r, s, n: r.laplace(0, s, n), lambda r, s, n: s * r.standard_t(3, n)])
def test_heavy_tails_cost_less_than_with_gaussian_tables(draw):
    counts = counts_of(draw)
    halves, tables = levels_of(counts)
    ratios = []
    for index, freq in tables.items():
        half = int(halves[index])
        ratios.append(
            cost(freq, half, counts[index]) / cost(gaussian_table(index, half), half, counts[index])
        )
    assert max(ratios) <= 1.001
    assert np.median(ratios) < 0.97


def test_tables_are_symmetric():
    halves, tables = levels_of(counts_of(lambda r, s, n: r.laplace(0, s, n)))
    for index, freq in tables.items():
        half = int(halves[index])
        inner = freq[: 2 * half + 1].astype(int)
        assert np.abs(inner - inner[::-1]).max() <= 1


def test_counts():
    counts = SymbolCounts(2)
    z = np.array([[[0, 1]], [[-200, 5]]])
    r = np.array([[[0, -3], [3, 9000]]])
    counts.add(z, r, np.array([[[0, 7], [7, 63]]]), 4)
    counts.add(z, r, np.array([[[0, 7], [7, 63]]]), 4)
    assert counts.r[0, 0] == 2
    assert counts.r[7, 3] == 4
    assert counts.r[63, R_LIMIT] == 2
    assert counts.r.sum() == 8
    assert counts.z[4, 0, 127] == counts.z[4, 0, 128] == 2
    assert counts.z[4, 1, 0] == counts.z[4, 1, 132] == 2
    assert counts.z.sum() == 8
