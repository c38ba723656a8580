"""The reference decoder of symbols (FORMAT.md sections 6 to 8) in plain Python: slow, an oracle for tests.

It shares only the errors with the fast coder. Planes are nested lists [channel][row][column] of int.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from codec.errors import CorruptPayload

Planes = list[list[list[int]]]


class Layer(NamedTuple):
    """One layer of the scale network (FORMAT.md 8.1): weight [out][in][k][k] with k 1 or 3, bias [out]."""

    weight: list[Planes]
    bias: list[int]
    shift: int
    shuffle: bool


class Tables(NamedTuple):
    """The tables (FORMAT.md 5.1): r_* by scale index 0..63 (0 is unused), z_* by rate point and channel."""

    r_half: list[int]
    r_freq: list[list[int]]
    z_lo: list[list[int]]
    z_freq: list[list[list[int]]]


def check(ok: bool, what: str) -> None:
    """Raise CorruptPayload with the message `what` unless ok."""
    if not ok:
        msg = f"tile words: {what}; the file is damaged"
        raise CorruptPayload(msg, field="words")


class RangeDecoder:
    """FORMAT.md 6.1 to 6.3: range and offset are unsigned 64-bit integers with offset < range."""

    def __init__(self, data: bytes) -> None:
        check(len(data) % 4 == 0, "the length is not a multiple of 4")
        self.words = list(struct.unpack(f"<{len(data) // 4}I", data))
        check(not self.words or self.words[-1] != 0, "the last word is 0")
        self.n_read = 0
        self.n_symbols = 0
        self.range = 2**64 - 1
        self.offset = self.next_word() << 32
        self.offset |= self.next_word()

    def next_word(self) -> int:
        """Return the next word; words past the end are 0."""
        self.n_read += 1
        return self.words[self.n_read - 1] if self.n_read <= len(self.words) else 0

    def decode(self, freq: list[int]) -> int:
        """FORMAT.md 6.2: decode one symbol. freq: integers >= 1 that sum to 2**24."""
        self.n_symbols += 1
        scale = self.range >> 24
        quantile = self.offset // scale
        check(quantile < 2**24, "the range coder left its interval")
        symbol, left = 0, 0
        while quantile >= left + freq[symbol]:
            left += freq[symbol]
            symbol += 1
        self.offset -= scale * left
        self.range = scale * freq[symbol]
        if self.range < 2**32:
            self.range <<= 32
            self.offset = (self.offset << 32) | self.next_word()
        return symbol

    def uniform(self, bits: int) -> int:
        """FORMAT.md 6.2: decode a number of `bits` bits, all values equally likely."""
        return self.decode([2 ** (24 - bits)] * 2**bits) if bits else 0

    def finish(self) -> None:
        """FORMAT.md 6.3: raise CorruptPayload unless the words end where the symbols end."""
        all_read = self.n_read >= len(self.words) and self.offset < 2**33 - 1
        check(all_read if self.n_symbols else not self.words, "words are left over after the last symbol")


def decode_z(decoder: RangeDecoder, tables: Tables, rate_point: int, hz: int, wz: int) -> Planes:
    """FORMAT.md 7.1: decode z channel by channel, row by row; tables of one entry are not coded."""

    def one(low: int, freq: list[int]) -> int:
        return low + (decoder.decode(freq) if len(freq) > 1 else 0)

    pairs = zip(tables.z_lo[rate_point], tables.z_freq[rate_point], strict=True)
    return [[[one(low, freq) for _ in range(wz)] for _ in range(hz)] for low, freq in pairs]


def step_of(c: int, y: int, x: int) -> int:
    """FORMAT.md 7.2: return the step, 0..3, that codes an element."""
    return (0, 3, 2, 1).index((c % 4) ^ (2 * (y % 2) + x % 2))


def decode_r(
    decoder: RangeDecoder, tables: Tables, shape: tuple[int, int, int], index: Callable[[int, Planes], Planes]
) -> Planes:
    """FORMAT.md 7.2: decode r in four steps.

    shape: of r, (M, hy, wy). index: (step, residuals so far) -> scale indices of all elements.
    """
    channels, height, width = shape
    r = [[[0] * width for _ in range(height)] for _ in range(channels)]
    every = [(c, y, x) for c in range(channels) for y in range(height) for x in range(width)]
    for step in range(4):
        where = [at for at in every if step_of(*at) == step]
        decode_step(decoder, tables, where, index(step, r), r)
    return r


def decode_step(
    decoder: RangeDecoder, tables: Tables, where: list[tuple[int, int, int]], scale_index: Planes, r: Planes
) -> None:
    """FORMAT.md 7.2 and 7.3: decode one step into r: scale indices 1..63 in turn, then escapes.

    where: elements of the step, (channel, row, column), in channel-row-column order.
    """
    escaped = []
    for index in range(1, 64):
        for c, y, x in where:
            if scale_index[c][y][x] == index:
                symbol = decoder.decode(tables.r_freq[index])
                r[c][y][x] = symbol - tables.r_half[index]
                if symbol == 2 * tables.r_half[index] + 1:
                    escaped.append((c, y, x))
    lengths = [decoder.uniform(4) for _ in escaped]
    for n in range(16):
        for (c, y, x), length in zip(escaped, lengths, strict=True):
            if length == n:
                e = 2**n + decoder.uniform(n) - 1
                magnitude = e // 2 + tables.r_half[scale_index[c][y][x]] + 1
                check(magnitude <= 32767, "a residual is outside -32767..32767")
                r[c][y][x] = -magnitude if e % 2 else magnitude


def convolve(planes: Planes, layer: Layer) -> Planes:
    """FORMAT.md 8.1: return bias + sum of weight * activation, with zeros outside the planes."""
    height, width = len(planes[0]), len(planes[0][0])
    pad = len(layer.weight[0][0]) // 2

    def at(plane: list[list[int]], y: int, x: int) -> int:
        return plane[y][x] if 0 <= y < height and 0 <= x < width else 0

    def total(kernels: Planes, y: int, x: int) -> int:
        terms = 0
        for plane, kernel in zip(planes, kernels, strict=True):
            for dy, row in enumerate(kernel):
                terms += sum(w * at(plane, y + dy - pad, x + dx - pad) for dx, w in enumerate(row))
        return terms

    pairs = list(zip(layer.weight, layer.bias, strict=True))
    return [[[b + total(k, y, x) for x in range(width)] for y in range(height)] for k, b in pairs]


def shuffle(planes: Planes) -> Planes:
    """FORMAT.md 8.1: out[c][2i + di][2j + dj] = in[4c + 2di + dj][i][j]."""
    ys, xs = range(2 * len(planes[0])), range(2 * len(planes[0][0]))
    groups = range(0, len(planes), 4)
    return [[[planes[c + 2 * (y % 2) + x % 2][y // 2][x // 2] for x in xs] for y in ys] for c in groups]


def run(planes: Planes, layers: list[Layer]) -> tuple[Planes, Planes]:
    """FORMAT.md 8.1: return the input and the output of the last layer."""
    hidden = planes
    for i, layer in enumerate(layers):
        hidden = planes
        planes = [[[v >> layer.shift for v in row] for row in plane] for plane in convolve(planes, layer)]
        if i < len(layers) - 1:
            planes = [[[min(max(v, 0), 255) for v in row] for row in plane] for plane in planes]
        planes = shuffle(planes) if layer.shuffle else planes
    return hidden, planes


def magnitude_code(r: int) -> int:
    """FORMAT.md 8.2: floor(16 log2(1 + |r|)), at most 127."""
    return min(127, ((1 + abs(r)) ** 16).bit_length() - 1)


def scale_context(s: Planes, hidden: Planes, r: Planes, layers: list[Layer]) -> Planes:
    """FORMAT.md 8.2: return s for a later step. hidden: input of the last layer. r: residuals so far."""
    codes = [[[magnitude_code(v) for v in row] for row in plane] for plane in r]
    added = run(codes + hidden, layers)[1]
    return [
        [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(*planes, strict=True)]
        for planes in zip(s, added, strict=True)
    ]


def scale_indices(s: Planes, offset: list[list[int]], rate_index: int, lift: bool) -> Planes:
    """FORMAT.md 8.3: return the scale indices from s and the rows offset [11][M] at the tile's rate index."""
    i = min(rate_index >> 8, 9)
    f = rate_index - 256 * i
    o = [(a * (256 - f) + b * f + 128) >> 8 for a, b in zip(offset[i], offset[i + 1], strict=True)]
    low = 1 if lift else 0
    return [[[min(max((v + o[c]) >> 4, low), 63) for v in row] for row in plane] for c, plane in enumerate(s)]


def symbol_crc(z: Planes, r: Planes) -> int:
    """FORMAT.md 7.4: return the CRC-32 over z then r as little-endian int16."""
    values = [v for planes in (z, r) for plane in planes for row in plane for v in row]
    return zlib.crc32(struct.pack(f"<{len(values)}h", *values))
