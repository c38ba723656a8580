"""The reference decoder of symbols (FORMAT.md sections 6 to 8) in plain Python: slow, an oracle for tests.

It shares only the errors with the fast coder. Planes are nested lists [channel][row][column] of int.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from itertools import pairwise
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
    indices = [scale_index[c][y][x] for c, y, x in where]
    found = decode_residuals(decoder, tables.r_half, tables.r_freq, indices)
    for (c, y, x), value in zip(where, found, strict=True):
        r[c][y][x] = value


def decode_residuals(
    decoder: RangeDecoder, half: list[int], freq: list[list[int]], indices: list[int]
) -> list[int]:
    """FORMAT.md 7.2 and 7.3: decode residuals that have these scale indices, 0 without a symbol."""
    found, escaped = [0] * len(indices), []
    for index in range(1, 64):
        for i, own in enumerate(indices):
            if own == index:
                symbol = decoder.decode(freq[index])
                found[i] = symbol - half[index]
                if symbol == 2 * half[index] + 1:
                    escaped.append(i)
    lengths = [decoder.uniform(4) for _ in escaped]
    for n in range(16):
        for i, length in zip(escaped, lengths, strict=True):
            if length == n:
                e = 2**n + decoder.uniform(n) - 1
                magnitude = e // 2 + half[indices[i]] + 1
                check(magnitude <= 32767, "a residual is outside -32767..32767")
                found[i] = -magnitude if e % 2 else magnitude
    return found


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


# FORMAT.md 7.5: u + v of each band, and the frequencies (u, v) that have them.
BANDS = [range(first, end) for first, end in pairwise((0, 1, 2, 3, 5, 8, 12, 17, 31))]
FREQUENCIES = [[(u, v) for u in range(16) for v in range(16) if u + v in band] for band in BANDS]

# c, u, v, y, x -> a value; coefficients that are not known are absent.
Coefficients = dict[tuple[int, int, int, int, int], int]


class DetailTables(NamedTuple):
    """The tensors of FORMAT.md 5.3 without lean; freq: by scale index 1..63, the one of 0 is unused."""

    weight: list[list[list[list[list[int]]]]]
    shape: list[list[list[list[int]]]]
    half: list[int]
    freq: list[list[int]]


class DetailContext:
    """FORMAT.md 8.4: the features of one step, from the coefficients of earlier steps."""

    def __init__(self, known: Coefficients, rows: int, columns: int, c: int, n: int, p: int) -> None:
        self.rows, self.columns, self.c, self.n, self.p = rows, columns, c, n, p
        self.known = {at: min(abs(value), 4095) for at, value in known.items()}
        nothing = [[0] * columns] * rows
        self.below = self.means(c, n - 1) if n > 0 else nothing
        self.below2 = self.means(c, n - 2) if n > 1 else nothing
        self.here = self.means(c, n, half=True) if p == 1 else nothing
        self.luma = self.means(0, n) if c > 0 else nothing
        self.chroma = self.means(1, n) if c > 1 else nothing

    def means(self, c: int, n: int, *, half: bool = False) -> list[list[int]]:
        """Return the mean magnitude of a band in each cell. half: divide by the elements of parity 0."""
        found = []
        for y in range(self.rows):
            found.append([0] * self.columns)
            for x in range(self.columns):
                total = sum(self.known.get((c, u, v, y, x), 0) for u, v in FREQUENCIES[n])
                even = sum((u + v + y + x) % 2 == 0 for u, v in FREQUENCIES[n])
                found[y][x] = 16 * total // (max(even, 1) if half else len(FREQUENCIES[n]))
        return found

    def around(self, means: list[list[int]], y: int, x: int) -> int:
        """Return the mean of the eight cells around one; cells outside are the nearest inside."""
        total = -means[y][x]
        for i in (y - 1, y, y + 1):
            for j in (x - 1, x, x + 1):
                total += means[min(max(i, 0), self.rows - 1)][min(max(j, 0), self.columns - 1)]
        return total // 8

    def beside(self, u: int, v: int, y: int, x: int) -> int:
        """Return the magnitudes in the four cells beside one, mirrored at the edges of the tile."""
        total = 0
        for i, j in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            row = 1 if i == -1 else self.rows - 2 if i == self.rows else i
            column = 1 if j == -1 else self.columns - 2 if j == self.columns else j
            total += self.known.get((self.c, u, v, row, column), 0)
        return total

    def features(self, u: int, v: int, y: int, x: int) -> list[int]:
        """Return features 0 to 15 of an element."""

        def near(*steps: tuple[int, int]) -> int:
            return sum(self.known.get((self.c, u + du, v + dv, y, x), 0) for du, dv in steps)

        found = [
            near((-1, 0), (0, -1)) if self.n > 0 else 0,
            near((1, 0), (0, 1)) if self.n > 0 and self.p == 1 else 0,
            near((-2, 0), (0, -2), (-1, -1)) if self.n > 0 else 0,
            self.beside(u, v, y, x) if self.p == 1 else 0,
            self.known.get((0, u, v, y, x), 0) if self.c > 0 else 0,
            self.known.get((1, u, v, y, x), 0) if self.c > 1 else 0,
        ]
        for means in (self.below, self.below2, self.here, self.luma, self.chroma):
            found += [means[y][x], self.around(means, y, x)]
        return found


def detail_scale_index(weight: list[int], shape: int, g: int, features: list[int]) -> int:
    """FORMAT.md 8.4: return the scale index of an element. g: mean code of its band."""
    mean = ((256 if g % 2 else 362) << (g - 1) // 2) >> 2
    stated = (shape * mean >> 12) * weight[16] >> 12
    expected = min(max(stated, -(2**29)), 2**29)
    expected += sum(w * feature for w, feature in zip(weight[:16], features, strict=True))
    return 1 + sum(expected > 0 and expected**3 >= 1 << (17 + index) for index in range(2, 64))


def decode_detail(
    data: bytes, tables: DetailTables, transform: int, rows: int, columns: int
) -> tuple[Coefficients, Coefficients]:
    """FORMAT.md 7.5: return the coefficients and scale indices of a tile; those not coded are absent."""
    decoder = RangeDecoder(data)
    codes = [[decoder.uniform(6) for _ in BANDS] for _ in range(3)]
    check(max(map(max, codes)) <= 45, "a mean code is out of range")
    d: Coefficients = {}
    scale_index: Coefficients = {}
    for c, n, p in [(c, n, p) for c in range(3) for n in range(8) if codes[c][n] for p in range(2)]:
        context = DetailContext(d, rows, columns, c, n, p)
        where = [
            (c, u, v, y, x)
            for u, v in FREQUENCIES[n]
            for y in range(rows)
            for x in range(columns)
            if (u + v + y + x) % 2 == p
        ]
        for _, u, v, y, x in where:
            weight, shape = tables.weight[transform][c][u + v][p], tables.shape[transform][c][u][v]
            index = detail_scale_index(weight, shape, codes[c][n], context.features(u, v, y, x))
            scale_index[c, u, v, y, x] = index
        found = decode_residuals(decoder, tables.half, tables.freq, [scale_index[at] for at in where])
        d.update(zip(where, found, strict=True))
    decoder.finish()
    return d, scale_index


def detail_crc(d: Coefficients, rows: int, columns: int) -> int:
    """FORMAT.md 7.5: return the CRC-32 over the coefficients as little-endian int16."""
    frequencies = [(c, u, v) for c in range(3) for u in range(16) for v in range(16)]
    cells = [(y, x) for y in range(rows) for x in range(columns)]
    values = [d.get((*at, *cell), 0) for at in frequencies for cell in cells]
    return zlib.crc32(struct.pack(f"<{len(values)}h", *values))
