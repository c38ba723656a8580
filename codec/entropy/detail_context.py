"""Contexts and tables of the detail layer (FORMAT.md sections 5.3 and 8.4). All of it is integer arithmetic.

The coefficients of a tile are q[c, u, v, y, x]: frequency c across colours, vertical and horizontal
frequencies u and v, cell (y, x). They are coded in steps: by colour, within it by band of u + v, within that
first those with even u + v + y + x, then the odd ones, whose four neighbours in frequency and in space are
then mostly known.

The expected magnitude of q is a weighted sum of magnitudes already known and of a mean that the tile states
for each colour and band. Its logarithm selects the scale index, and that the probability table.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.bitstream.tile_payloads import TRANSFORMS
from codec.entropy.tables import TOTAL, EntropyTables
from codec.errors import WeightsError

Integers = NDArray[np.int32]

# First u + v of each band.
BAND_STARTS = (0, 1, 2, 3, 5, 8, 12, 17)
COLOURS = 3
BANDS = len(BAND_STARTS)
SIDE = 16
DIAGONALS = 2 * SIDE - 1
PARITIES = 2
# Larger magnitudes count as this one.
MAGNITUDE_MAX = 4095
# The largest code of a mean: 2**12.
MEAN_MAX = 45

# Features with one value for each coefficient, then those with one for each cell.
# Their numbers of terms; cell means are in 2**-4.
LOCAL_TERMS = {"lower": 2, "higher": 2, "lower2": 3, "beside": 4, "colour0": 1, "colour1": 1}
LOCAL = tuple(LOCAL_TERMS)
CELL = (
    "below",
    "below_around",
    "below2",
    "below2_around",
    "here",
    "here_around",
    "luma",
    "luma_around",
    "chroma",
    "chroma_around",
)
FEATURES = (*LOCAL, *CELL, "mean")


class Band(NamedTuple):
    """The frequencies of a band: u, v and their sum k, each [n]."""

    u: NDArray[np.intp]
    v: NDArray[np.intp]
    k: NDArray[np.intp]


@functools.cache
def bands() -> tuple[Band, ...]:
    """Return the frequencies of each band, ordered by u, then v."""
    u, v = (plane.ravel() for plane in np.indices((SIDE, SIDE)))
    which = np.searchsorted(BAND_STARTS, u + v, side="right") - 1
    return tuple(Band(u[which == b], v[which == b], (u + v)[which == b]) for b in range(BANDS))


@functools.lru_cache(maxsize=64)
def members(band: int, parity: int, rows: int, columns: int) -> NDArray[np.bool_]:
    """Return which coefficients [n, rows, columns] of a band a step codes."""
    y, x = np.ogrid[:rows, :columns]
    found: NDArray[np.bool_] = (bands()[band].k[:, None, None] + y + x) % 2 == parity
    found.flags.writeable = False
    return found


def mean_value(code: int) -> int:
    """Return the mean magnitude that a code 1..45 states, in 2**-16: half octaves from 2**-10."""
    return ((256, 362)[(code - 1) % 2] << ((code - 1) // 2)) >> 2


def mean_code(mean: float) -> int:
    """Return the code of a mean magnitude above 0."""
    return int(np.clip(np.rint(2 * (np.log2(mean) + 10)) + 1, 1, MEAN_MAX))


class Context:
    """Magnitudes of one tile, as far as they are known; the rest counts as 0."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        # A margin of two frequencies, and of one cell that mirrors the next but one.
        self._known = np.zeros((COLOURS, SIDE + 4, SIDE + 4, rows + 2, columns + 2), np.int32)
        self._sums = np.zeros((COLOURS, BANDS, rows, columns), np.int32)

    def features(self, colour: int, band: int, parity: int) -> dict[str, Integers]:
        """Return the features of one step that may differ from 0: [n, rows, columns] or [rows, columns]."""
        u, v, _ = bands()[band]
        own = self._known[colour]

        def at(du: int, dv: int, source: Integers = own) -> Integers:
            return source[u + 2 + du, v + 2 + dv, 1:-1, 1:-1]

        found: dict[str, Integers] = {}
        if band:
            found["lower"] = at(-1, 0) + at(0, -1)
            found["lower2"] = at(-2, 0) + at(0, -2) + at(-1, -1)
            found["below"], found["below_around"] = self._mean(colour, band - 1)
        if band > 1:
            found["below2"], found["below2_around"] = self._mean(colour, band - 2)
        if parity:
            if band:
                found["higher"] = at(1, 0) + at(0, 1)
            whole = own[u + 2, v + 2]
            found["beside"] = (
                whole[:, :-2, 1:-1] + whole[:, 2:, 1:-1] + whole[:, 1:-1, :-2] + whole[:, 1:-1, 2:]
            )
            even = members(band, 0, self.rows, self.columns).sum(0, dtype=np.int32)
            here = self._sums[colour, band] * 16 // np.maximum(even, 1)
            found["here"], found["here_around"] = here, _around(here)
        for other, names in zip(range(colour), (("colour0", "luma"), ("colour1", "chroma")), strict=False):
            found[names[0]] = at(0, 0, self._known[other])
            found[names[1]], found[names[1] + "_around"] = self._mean(other, band)
        return found

    def expected(self, colour: int, band: int, parity: int, weight: Integers, offset: Integers) -> Integers:
        """Return the weighted sum of a step's features, int32 [n, rows, columns] in 2**-16.

        weight: int32 [n, features]. offset: int32 [n], what is added everywhere.
        """
        features = self.features(colour, band, parity)
        total = np.broadcast_to(offset[:, None, None], (len(offset), self.rows, self.columns)).copy()
        for index, name in enumerate(FEATURES):
            if name in features:
                total += weight[:, index, None, None] * features[name]
        return total

    def tell(self, colour: int, band: int, parity: int, magnitudes: Integers) -> None:
        """Note the magnitudes [n, rows, columns] of one step, 0 for those of the other parity."""
        u, v, _ = bands()[band]
        capped = np.minimum(magnitudes, MAGNITUDE_MAX)
        self._sums[colour, band] += capped.sum(0, dtype=np.int32)
        known = self._known[colour]
        if parity:
            capped = capped + known[u + 2, v + 2, 1:-1, 1:-1]
        padded = np.zeros((len(u), self.rows + 2, self.columns + 2), np.int32)
        padded[:, 1:-1, 1:-1] = capped
        padded[:, 0], padded[:, -1] = padded[:, 2], padded[:, -3]
        padded[:, :, 0], padded[:, :, -1] = padded[:, :, 2], padded[:, :, -3]
        known[u + 2, v + 2] = padded

    def _mean(self, colour: int, band: int) -> tuple[Integers, Integers]:
        """Return the mean magnitude of a band that is known, in each cell and around it, in 2**-4."""
        mean = self._sums[colour, band] * 16 // len(bands()[band].u)
        return mean, _around(mean)


def _around(mean: Integers) -> Integers:
    """Return the mean over the eight cells around each, the border repeated beyond it."""
    wide = np.pad(mean, 1, mode="edge")
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    found: Integers = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - mean) >> 3
    return found


PREFIX = "detail."
# Magnitudes with reconstruction points of their own; larger ones share the last.
POINTS = 3
SHAPE_MAX = 1 << 17
# Bound of the weighted sums of features, the stated mean left out, so that int32 holds them.
SUM_MAX = 1 << 30


@dataclass(frozen=True, eq=False)
class DetailTables:
    """Arrays of the weights file.

    weight: int32 [2, 3, 31, 2, features], by transform, colour, u + v and parity; in 2**-16 for local
        features, in 2**-12 for those of cells and for the mean.
    shape: int32 [2, 3, 16, 16], the mean magnitude of each frequency beside that of its band, in 2**-12.
    half, freq: as entropy.r_half and entropy.r_freq, of the layer's own scale_indices 1..63.
    lean: float32 [64, 3], what is added to magnitudes 1, 2 and above at reconstruction.
    """

    weight: NDArray[np.int32]
    shape: NDArray[np.int32]
    half: NDArray[np.int32]
    freq: NDArray[np.uint32]
    lean: NDArray[np.float32]

    @functools.cached_property
    def entropy(self) -> EntropyTables:
        """The probability tables as the entropy coder takes them, without hyper-latents."""
        none = np.zeros((RATE_POINTS, 1), np.int16)
        one = np.ones((RATE_POINTS, 1), np.int32)
        return EntropyTables(self.half, self.freq, none, one, np.full(RATE_POINTS, TOTAL, np.uint32))

    def validate(self) -> None:
        """Raise WeightsError unless all arrays are as FORMAT.md section 5.3 says."""
        wanted = {
            "weight": ((TRANSFORMS, COLOURS, DIAGONALS, PARITIES, len(FEATURES)), np.int32),
            "shape": ((TRANSFORMS, COLOURS, SIDE, SIDE), np.int32),
            "half": ((SCALE_COUNT,), np.int32),
            "freq": (self.freq.shape[:1], np.uint32),
            "lean": ((SCALE_COUNT, POINTS), np.float32),
        }
        for name, (shape, dtype) in wanted.items():
            array = getattr(self, name)
            _require(
                array.shape == shape and array.dtype == dtype, name, f"must be {np.dtype(dtype)} {shape}"
            )
        fits = bool((largest_sums(self.weight) < SUM_MAX).all())
        fits = fits and int(np.abs(self.weight[..., -1].astype(np.int64)).max()) < SUM_MAX
        _require(fits, "weight", "has rows whose sums may not fit")
        _require(bool(((self.shape >= 0) & (self.shape <= SHAPE_MAX)).all()), "shape", "is out of range")
        self.entropy.validate()
        _require(bool((np.abs(self.lean) < 1).all()), "lean", "must lie between -1 and 1")

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays under their names in the weights file, 'detail.weight' and so on."""
        return {PREFIX + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> DetailTables:
        """Build from the tensors of a weights file, and validate. Raises WeightsError."""
        missing = [field.name for field in fields(cls) if PREFIX + field.name not in arrays]
        if missing:
            msg = f"weights file: tensor {PREFIX + missing[0]} is missing; export the model again"
            raise WeightsError(msg, field=PREFIX + missing[0])
        tables = cls(**{field.name: np.array(arrays[PREFIX + field.name]) for field in fields(cls)})
        tables.validate()
        return tables


def largest_sums(weight: NDArray[Any]) -> NDArray[np.int64]:
    """Return the largest magnitude of each weighted sum of features, the stated mean left out."""
    largest = np.array([MAGNITUDE_MAX * LOCAL_TERMS.get(name, 16) for name in FEATURES[:-1]], np.int64)
    found: NDArray[np.int64] = (np.abs(weight[..., :-1].astype(np.int64)) * largest).sum(-1)
    return found


def _require(ok: bool, name: str, rule: str) -> None:
    if not ok:
        msg = f"weights file: {PREFIX}{name} {rule}; the file is damaged or was exported wrongly"
        raise WeightsError(msg, field=PREFIX + name)
