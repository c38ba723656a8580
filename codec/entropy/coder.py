"""Encode and decode the symbols of a tile: latents <-> range coder words (FORMAT.md sections 6 and 7)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.entropy.range_coder import BEST, RangeCoder, TableModels
from codec.entropy.steps import STEPS, step_positions
from codec.entropy.tables import R_MAX
from codec.errors import CorruptPayload, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from codec.entropy.range_coder import Model
    from codec.entropy.tables import EntropyTables

# Bits of the length of an escape (FORMAT.md section 7.3).
LENGTH_BITS = 4
_MAX_LENGTH = (1 << LENGTH_BITS) - 1

_POWERS_OF_2 = np.left_shift(1, np.arange(_MAX_LENGTH + 1, dtype=np.int32))


class TileCoder:
    """Encodes and decodes the symbols of tiles with one model's tables. Safe to share between threads.

    Integer-exact: the same symbols give the same bytes on every machine.
    """

    def __init__(self, tables: EntropyTables, range_coder: RangeCoder = BEST) -> None:
        self.tables = tables
        self._models = TableModels(tables, range_coder)

    def encode(
        self, z: NDArray[Any], r: NDArray[Any], scale_index: NDArray[np.uint8], rate_point: int
    ) -> bytes:
        """Encode the symbols of one tile; return its words as little-endian bytes, a multiple of 4 long.

        z: int16 [H, hz, wz], within the support of the rate point's tables (see EntropyTables.clamp_z).
        r: int16 [M, hy, wy], values in -32767..32767, 0 wherever scale_index is 0.
        scale_index: uint8 [M, hy, wy], values in 0..63, already lifted if the tile's lift flag is set.
        rate_point: 0..10. Raises UsageError when an argument breaks these rules.
        """
        _check_rate_point(rate_point)
        _check_scale_index(scale_index)
        if r.shape != scale_index.shape or r.dtype.kind not in "iu":
            msg = f"r must be integers of scale_index's shape {scale_index.shape}, got {r.dtype} {r.shape}"
            raise UsageError(msg, field="r")
        encoder = self._models.range_coder.encoder()
        self._encode_z(encoder, z, rate_point)
        flat_r, flat_index = (np.ascontiguousarray(a).reshape(-1) for a in (r, scale_index))
        for positions in step_positions(*scale_index.shape):
            encode_residuals(self._models, encoder, flat_r[positions], flat_index[positions])
        words = np.trim_zeros(encoder.get_compressed(), "b")
        return bytes(words.astype("<u4").tobytes())

    def decoder(self, words: bytes | memoryview, rate_point: int) -> TileDecoder:
        """Start decoding the words of one tile at a rate point, 0..10.

        Call z of the result, then r for each of the four steps, then finish. Raises CorruptPayload for words
        that no encoder writes, UsageError for a rate point out of range.
        """
        _check_rate_point(rate_point)
        return TileDecoder(self._models, words, rate_point)

    def _encode_z(self, encoder: Any, z: NDArray[Any], rate_point: int) -> None:
        tables = self.tables
        if z.ndim != 3 or z.shape[0] != tables.z_channels or z.dtype.kind not in "iu":
            msg = f"z must be integers [{tables.z_channels}, hz, wz], got {z.dtype} {z.shape}"
            raise UsageError(msg, field="z")
        low = tables.z_lo[rate_point].astype(np.int32)
        symbols = np.ascontiguousarray(z, dtype=np.int32).reshape(z.shape[0], -1) - low[:, None]
        if ((symbols < 0) | (symbols >= tables.z_size[rate_point][:, None])).any():
            msg = (
                f"z leaves the tables of rate point {rate_point}; pass it through EntropyTables.clamp_z first"
            )
            raise UsageError(msg, field="z")
        for channel in np.flatnonzero(tables.z_size[rate_point] > 1).tolist():
            encoder.encode(symbols[channel], self._models.z(rate_point, channel))


def encode_residuals(
    models: TableModels, encoder: Any, r: NDArray[Any], scale_index: NDArray[np.uint8]
) -> None:
    """Encode the residuals of one step; r and scale_index [n] in coding order."""
    order, counts = _group(scale_index)
    grouped = r[order].astype(np.int32)
    if np.count_nonzero(grouped) != np.count_nonzero(r):
        msg = "r must be 0 wherever scale_index is 0; those places are not coded"
        raise UsageError(msg, field="r")
    half = np.repeat(models.tables.r_half, counts)
    symbols = grouped + half
    escaped = np.flatnonzero((symbols < 0) | (symbols > 2 * half))
    left, left_half = grouped[escaped], half[escaped]
    if left.size and int(np.abs(left).max()) > R_MAX:
        msg = f"r must lie in -{R_MAX}..{R_MAX}, got magnitude {int(np.abs(left).max())}"
        raise UsageError(msg, field="r")
    symbols[escaped] = 2 * left_half + 1
    stop = np.cumsum(counts).tolist()
    for index in np.flatnonzero(counts).tolist():
        encoder.encode(symbols[stop[index - 1] : stop[index]], models.r(index))
    if left.size:
        _write_escapes(left, left_half, lambda v, bits: encoder.encode(v, models.uniform(bits)))


class WordsDecoder:
    """Decode the words of one codestream; the caller names the model of each symbol in order.

    Not thread-safe.
    """

    def __init__(self, models: TableModels, words: bytes | memoryview) -> None:
        n_bytes = memoryview(words).nbytes
        if n_bytes % 4:
            msg = f"tile words: {n_bytes} bytes are not a multiple of 4; the file is damaged"
            raise CorruptPayload(msg, field="words")
        # A copy, because a view into a file may be unaligned and constriction requires native aligned words.
        array = np.array(np.frombuffer(words, dtype="<u4"), dtype=np.uint32)
        if array.size and array[-1] == 0:
            msg = "tile words: the last word is 0, which an encoder never writes; the file is damaged"
            raise CorruptPayload(msg, field="words")
        self._coder = models.range_coder.decoder(array)
        self._models = models
        self._n_words = array.size
        self._n_coded = 0

    def residuals(self, scale_index: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Decode the residuals of one step: int16 [n]. scale_index: in coding order, [n]."""
        order, counts = _group(scale_index)
        half = np.repeat(self._models.tables.r_half, counts)
        grouped = np.empty(order.size, dtype=np.int32)
        stop = np.cumsum(counts).tolist()
        for index in np.flatnonzero(counts).tolist():
            start, end = stop[index - 1], stop[index]
            grouped[start:end] = self.decode(self._models.r(index), end - start)
        escaped = np.flatnonzero(grouped > 2 * half)
        grouped -= half
        if escaped.size:
            grouped[escaped] = _read_escapes(half[escaped], self.uniform)
        r = np.zeros(scale_index.size, dtype=np.int16)
        r[order] = grouped
        return r

    def finish(self) -> None:
        """Raise CorruptPayload unless the words end where the symbols end (FORMAT.md section 6.3)."""
        if self._n_coded == 0 and self._n_words:
            msg = f"tile words: {self._n_words} words, but the tile has no coded symbol; the file is damaged"
            raise CorruptPayload(msg, field="words")
        if not self._coder.maybe_exhausted():
            msg = "tile words: words are left over after the last symbol; the file is damaged"
            raise CorruptPayload(msg, field="words")

    def uniform(self, count: int, bits: int) -> NDArray[np.int32]:
        """Decode symbols of 2**bits equal intervals."""
        return self.decode(self._models.uniform(bits), count)

    def decode(self, model: Model, count: int) -> NDArray[np.int32]:
        """Decode symbols of one model. Raises CorruptPayload if the coder leaves its interval."""
        self._n_coded += count
        try:
            symbols: NDArray[np.int32] = self._coder.decode(model, count)
        except AssertionError as error:
            msg = "tile words: the range coder left its interval; the file is damaged"
            raise CorruptPayload(msg, field="words") from error
        return symbols


class TileDecoder(WordsDecoder):
    """Decodes the words of one tile in order: z, then r four times, then finish. For one thread."""

    def __init__(self, models: TableModels, words: bytes | memoryview, rate_point: int) -> None:
        super().__init__(models, words)
        self._tables = models.tables
        self._rate_point = rate_point
        self._expected_call = "z"
        self._step = 0
        self._r: NDArray[np.int16] | None = None

    def z(self, hz: int, wz: int) -> NDArray[np.int16]:
        """Decode the hyper-latents: int16 [H, hz, wz]. Raises CorruptPayload on damaged words."""
        self._advance("z", "r")
        tables, rate_point = self._tables, self._rate_point
        z = np.empty((tables.z_channels, hz * wz), dtype=np.int16)
        z[:] = tables.z_lo[rate_point][:, None]
        for channel in np.flatnonzero(tables.z_size[rate_point] > 1).tolist():
            z[channel] += self.decode(self._models.z(rate_point, channel), hz * wz).astype(np.int16)
        return z.reshape(tables.z_channels, hz, wz)

    def r(self, scale_index: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Decode the next step; return the residuals of all steps so far, int16 [M, hy, wy], 0 elsewhere.

        scale_index: uint8 [M, hy, wy], values in 0..63, lifted if the tile's lift flag is set. Only the
        elements of this step are used; where they are 0 the residual is 0.
        Later steps write to the same array. Raises CorruptPayload on damaged words.
        """
        self._advance("r", "finish" if self._step == STEPS - 1 else "r")
        _check_scale_index(scale_index)
        if self._r is None:
            self._r = np.zeros(scale_index.shape, dtype=np.int16)
        if self._r.shape != scale_index.shape:
            shapes = f"{self._r.shape}, got {scale_index.shape}"
            msg = f"scale_index must have the shape of the steps before, {shapes}"
            raise UsageError(msg, field="scale_index")
        positions = step_positions(*scale_index.shape)[self._step]
        self._step += 1
        values = self.residuals(np.ascontiguousarray(scale_index).reshape(-1)[positions])
        self._r.reshape(-1)[positions] = values
        return self._r

    def finish(self) -> None:
        """Raise CorruptPayload unless the words end where the symbols end (FORMAT.md section 6.3)."""
        self._advance("finish", "done")
        super().finish()

    def _advance(self, step: str, following: str) -> None:
        if self._expected_call != step:
            msg = f"tile decoder: {step} was called where {self._expected_call} is due"
            raise UsageError(msg, field=step)
        self._expected_call = following


def symbol_crc(*symbols: NDArray[Any]) -> int:
    """Return the CRC-32 over arrays of symbols, one after another: z, then r of a tile (FORMAT.md 7.4).

    Each is taken as little-endian int16 with the last axis fastest.
    """
    crc = 0
    for array in symbols:
        crc = zlib.crc32(_int16_bytes(array), crc)
    return crc


def escape_codes(
    r: NDArray[np.int32], half: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Map escaped residuals to (n, e + 1): length and value of their exponential-Golomb codes.

    r, half: int32 [count] with half < abs(r) <= 32767. n lies in 0..15 and 2**n <= e + 1 < 2**(n + 1).
    Source: FORMAT.md section 7.3.
    """
    value = 2 * (np.abs(r) - half - 1) + (r < 0) + 1
    n = np.searchsorted(_POWERS_OF_2, value, side="right") - 1
    return n.astype(np.int32), value.astype(np.int32)


def _write_escapes(
    r: NDArray[np.int32], half: NDArray[np.int32], put: Callable[[NDArray[np.int32], int], None]
) -> None:
    """Write escaped residuals by calls put(values, bits): int32 values, each uniform in 0..2**bits - 1."""
    n, value = escape_codes(r, half)
    put(n, LENGTH_BITS)
    for bits in range(1, _MAX_LENGTH + 1):
        chosen = value[n == bits]
        if chosen.size:
            put(chosen - (1 << bits), bits)


def _read_escapes(half: NDArray[np.int32], get: Callable[[int, int], NDArray[np.int32]]) -> NDArray[np.int32]:
    """Read escaped residuals by calls get(count, bits) -> int32 [count]; return int32 [count].

    half: int32 [count], the half-width of the table of each escaped residual.
    Raises CorruptPayload for a residual outside -32767..32767.
    """
    n = get(half.size, LENGTH_BITS)
    value = np.ones(half.size, dtype=np.int32)
    for bits in range(1, _MAX_LENGTH + 1):
        where = np.flatnonzero(n == bits)
        if where.size:
            value[where] = get(where.size, bits) + (1 << bits)
    e = value - 1
    magnitude = (e >> 1) + half + 1
    if magnitude.size and int(magnitude.max()) > R_MAX:
        msg = f"tile words: residual of magnitude {int(magnitude.max())}, at most {R_MAX} is allowed"
        raise CorruptPayload(msg + "; the file is damaged", field="words")
    return np.where(e & 1, -magnitude, magnitude).astype(np.int32)


def _int16_bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array, dtype="<i2").reshape(-1).view(np.uint8).data


def _group(scale_index: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (positions of the coded symbols in coding order, number of symbols per scale index, [64])."""
    counts = np.bincount(scale_index, minlength=SCALE_COUNT)
    order = np.argsort(scale_index, kind="stable")[counts[0] :]
    counts[0] = 0
    return order, counts


def _check_scale_index(scale_index: NDArray[np.uint8]) -> None:
    if scale_index.dtype != np.uint8 or scale_index.ndim != 3:
        msg = f"scale_index must be uint8 [M, hy, wy], got {scale_index.dtype} {scale_index.shape}"
        raise UsageError(msg, field="scale_index")
    if scale_index.size and int(scale_index.max()) >= SCALE_COUNT:
        msg = f"scale_index must lie in 0..{SCALE_COUNT - 1}, got {int(scale_index.max())}"
        raise UsageError(msg, field="scale_index")


def _check_rate_point(rate_point: int) -> None:
    if not 0 <= rate_point < RATE_POINTS:
        msg = f"rate_point must lie in 0..{RATE_POINTS - 1}, got {rate_point}"
        raise UsageError(msg, field="rate_point")
