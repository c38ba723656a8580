"""Synthetic tables for all corner cases of the format, drawn symbols, and a plain encoder as a reference."""

from __future__ import annotations

import numpy as np
import pytest

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.entropy import reference
from codec.entropy.coder import TileCoder
from codec.entropy.detail_context import FEATURES, DetailTables
from codec.entropy.range_coder import BEST, PLAIN
from codec.entropy.reference import Tables, step_of
from codec.entropy.tables import TOTAL, EntropyTables

Z_CHANNELS = 5


def _frequencies(rng, n, style):
    """Return n integers >= 1 that sum to 2**24: as peaked as possible, random, or as flat as possible."""
    if style == 0:
        k = np.ones(n, dtype=np.int64)
        k[rng.integers(n)] += TOTAL - n
    elif style == 1:
        cuts = np.sort(rng.choice(TOTAL - 1, size=n - 1, replace=False) + 1)
        k = np.diff(np.concatenate(([0], cuts, [TOTAL])))
    else:
        k = np.full(n, TOTAL // n, dtype=np.int64)
        k[-1] += TOTAL - int(k.sum())
    return k.astype(np.uint32)


def build_tables(seed=0):
    rng = np.random.default_rng(seed)
    half = np.concatenate(([0], rng.integers(1, 30, SCALE_COUNT - 1))).astype(np.int32)
    half[1], half[7], half[63] = 1, 1, 1000
    z_size = rng.integers(1, 40, (RATE_POINTS, Z_CHANNELS)).astype(np.int32)
    z_size[:, 0], z_size[:, 1], z_size[:, 2] = 1, 255, 2
    z_lo = (-(z_size // 2)).astype(np.int16)
    z_lo[:, 0] = -3
    return EntropyTables(
        r_half=half,
        r_freq=np.concatenate([_frequencies(rng, 2 * int(h) + 2, i % 3) for i, h in enumerate(half[1:])]),
        z_lo=z_lo,
        z_size=z_size,
        z_freq=np.concatenate([_frequencies(rng, int(n), i % 3) for i, n in enumerate(z_size.ravel())]),
    )


@pytest.fixture(scope="session")
def tables():
    built = build_tables()
    built.validate()
    return built


@pytest.fixture(scope="session", params=sorted({BEST, PLAIN}), ids=lambda coder: coder.name)
def coder(tables, request):
    return TileCoder(tables, request.param)


@pytest.fixture(scope="session")
def plain(tables):
    """The same tables as plain lists, for the reference decoder."""
    h = tables.z_channels
    return Tables(
        r_half=tables.r_half.tolist(),
        r_freq=[[]] + [tables.r_table(index).tolist() for index in range(1, SCALE_COUNT)],
        z_lo=tables.z_lo.tolist(),
        z_freq=[[tables.z_table(b, c).tolist() for c in range(h)] for b in range(RATE_POINTS)],
    )


@pytest.fixture(scope="session")
def draw(tables):
    """Return a function that draws a tile's symbols, escapes and extremes included."""

    def _draw(seed, m=4, hz=2, wz=3, ratio=2, rate_point=0, coded=0.7, escape=0.1):
        rng = np.random.default_rng(seed)
        z = tables.clamp_z(np.rint(rng.normal(0, 20, (tables.z_channels, hz, wz))), rate_point)
        shape = (m, hz * ratio, wz * ratio)
        scale_index = (rng.integers(1, SCALE_COUNT, shape) * (rng.random(shape) < coded)).astype(np.uint8)
        half = tables.r_half[scale_index]
        r = np.rint(rng.uniform(-1, 1, shape) * half).astype(np.int64)
        far = rng.random(shape) < escape
        r[far] = np.rint(rng.choice([-1, 1], far.sum()) * 32767 * rng.random(far.sum()) ** 4)
        r[scale_index == 0] = 0
        return z, r.astype(np.int16), scale_index

    return _draw


class PlainEncoder:
    """FORMAT.md 6.4 in integers of any size: no carries, and words only at the end."""

    def __init__(self):
        self.low, self.range, self.shifts, self.n_symbols = 0, 2**64 - 1, 0, 0

    def put(self, freq, symbol):
        scale = self.range >> 24
        self.low += scale * sum(freq[:symbol])
        self.range = scale * freq[symbol]
        self.n_symbols += 1
        if self.range < 2**32:
            self.low, self.range, self.shifts = self.low << 32, self.range << 32, self.shifts + 1

    def words(self):
        if self.n_symbols == 0:
            return b""
        value = -(-self.low // 2**32)
        words = [(value >> 32 * i) & 0xFFFFFFFF for i in range(self.shifts, -1, -1)]
        while words and words[-1] == 0:
            words.pop()
        return b"".join(word.to_bytes(4, "little") for word in words)


@pytest.fixture(scope="session")
def plain_encode(plain):
    """Return a function that encodes a tile with PlainEncoder."""

    def _encode(z, r, scale_index, rate_point):
        encoder = PlainEncoder()
        for c, freq in enumerate(plain.z_freq[rate_point]):
            for value in z[c].ravel().tolist():
                if len(freq) > 1:
                    encoder.put(freq, value - plain.z_lo[rate_point][c])
        steps = np.array([step_of(*at) for at in np.ndindex(r.shape)]).reshape(r.shape)
        for step in range(4):
            _encode_step(encoder, r[steps == step], scale_index[steps == step])
        return encoder.words()

    def _encode_step(encoder, r, scale_index):
        escaped = []
        for index in range(1, SCALE_COUNT):
            half = plain.r_half[index]
            for value in r[scale_index == index].tolist():
                inside = abs(value) <= half
                encoder.put(plain.r_freq[index], value + half if inside else 2 * half + 1)
                if not inside:
                    escaped.append(2 * (abs(value) - half - 1) + (value < 0) + 1)
        for value in escaped:
            encoder.put([2**20] * 16, value.bit_length() - 1)
        for n in range(1, 16):
            for value in escaped:
                if value.bit_length() - 1 == n:
                    encoder.put([2 ** (24 - n)] * 2**n, value - 2**n)

    return _encode


@pytest.fixture(scope="session")
def detail_tables():
    """Tables of the detail layer: random weights, geometric distributions."""
    rng = np.random.default_rng(3)
    half, freq = np.zeros(SCALE_COUNT, np.int32), []
    for scale_index in range(1, SCALE_COUNT):
        mean = 2.0 ** ((scale_index - 0.5) / 3 - 10)
        half[scale_index] = int(np.clip(6 * mean, 1, 40))
        size = np.append(np.abs(np.arange(-half[scale_index], half[scale_index] + 1)), 7)
        share = (mean / (1 + mean)) ** size
        k = 1 + (share / share.sum() * (TOTAL // 2)).astype(np.int64)
        k[half[scale_index]] += TOTAL - k.sum()
        freq.append(k.astype(np.uint32))
    built = DetailTables(
        weight=rng.integers(-300, 1300, (2, 3, 31, 2, len(FEATURES))).astype(np.int32),
        shape=rng.integers(1000, 9000, (2, 3, 16, 16)).astype(np.int32),
        half=half,
        freq=np.concatenate(freq),
        lean=np.full((SCALE_COUNT, 3), -0.1, np.float32),
    )
    built.validate()
    return built


@pytest.fixture(scope="session")
def plain_detail():
    """Return a function: DetailTables -> the same as plain lists, for the reference decoder."""

    def _plain(tables):
        freq = [[]] + [tables.entropy.r_table(index).tolist() for index in range(1, SCALE_COUNT)]
        return reference.DetailTables(
            tables.weight.tolist(), tables.shape.tolist(), tables.half.tolist(), freq
        )

    return _plain


@pytest.fixture(scope="session")
def draw_detail():
    """Return a function that draws coefficients of falling spectra, int16 [3, 16, 16, rows, columns]."""

    def _draw(rows, columns, spread, seed=0):
        rng = np.random.default_rng(seed)
        u, v = np.indices((16, 16))
        scale = spread * np.exp(-(u + v) / 6) / np.array([1, 2, 4])[:, None, None]
        drawn = rng.laplace(size=(3, 16, 16, rows, columns)) * scale[..., None, None]
        return np.rint(drawn).clip(-32767, 32767).astype(np.int16)

    return _draw
