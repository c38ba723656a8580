"""The frozen integer probability tables of a model (FORMAT.md section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Frequencies of a table sum to TOTAL.
PRECISION = 24
TOTAL = 1 << PRECISION
# Largest magnitudes of hyper-latents and residuals.
Z_MAX = 127
R_MAX = 32767
PREFIX = "entropy."

_DTYPES = {
    "r_half": np.dtype(np.int32),
    "r_freq": np.dtype(np.uint32),
    "z_lo": np.dtype(np.int16),
    "z_size": np.dtype(np.int32),
    "z_freq": np.dtype(np.uint32),
}


@dataclass(frozen=True, eq=False)
class EntropyTables:
    """The frequency tables of a model; every table holds integers k >= 1 that sum to 2**24.

    r_half: int32 [64], entry 0 is 0; the table of scale index l holds -r_half[l]..r_half[l], then ESCAPE.
    r_freq: uint32 [sum of 2 * r_half[l] + 2 over l = 1..63], the tables of scale indices 1..63 in turn.
    z_lo: int16 [11, H], the smallest hyper-latent of each (rate_point, channel).
    z_size: int32 [11, H], the number of consecutive values from z_lo of each (rate_point, channel).
    z_freq: uint32 [sum of z_size], the tables, rate point by rate point, channel by channel.
    """

    r_half: NDArray[np.int32]
    r_freq: NDArray[np.uint32]
    z_lo: NDArray[np.int16]
    z_size: NDArray[np.int32]
    z_freq: NDArray[np.uint32]

    @property
    def z_channels(self) -> int:
        """H, the number of hyper-latent channels."""
        return int(self.z_lo.shape[1])

    @cached_property
    def _r_start(self) -> NDArray[np.int64]:
        size = 2 * self.r_half.astype(np.int64) + 2
        size[0] = 0
        return np.concatenate(([0], np.cumsum(size)))

    @cached_property
    def _z_start(self) -> NDArray[np.int64]:
        return np.concatenate(([0], np.cumsum(self.z_size.ravel(), dtype=np.int64)))

    def r_table(self, scale_index: int) -> NDArray[np.uint32]:
        """Return the frequencies of residuals -h..h and ESCAPE of a scale index in 1..63: uint32 [2h + 2]."""
        return self.r_freq[self._r_start[scale_index] : self._r_start[scale_index + 1]]

    def z_table(self, rate_point: int, channel: int) -> NDArray[np.uint32]:
        """Return the frequencies of z_lo, z_lo + 1, ... of a rate point and channel: uint32 [z_size]."""
        i = rate_point * self.z_channels + channel
        return self.z_freq[self._z_start[i] : self._z_start[i + 1]]

    def clamp_z(self, z: NDArray[Any], rate_point: int) -> NDArray[np.int16]:
        """Clamp hyper-latents [H, hz, wz] of any numeric type to the support of their tables."""
        low = self.z_lo[rate_point].astype(np.int64)
        high = low + self.z_size[rate_point] - 1
        clamped: NDArray[np.int16] = np.clip(z, low[:, None, None], high[:, None, None]).astype(np.int16)
        return clamped

    def validate(self) -> None:
        """Raise WeightsError unless every array and table satisfies FORMAT.md section 5.1."""
        for name, dtype in _DTYPES.items():
            _require(getattr(self, name).dtype == dtype, name, f"must be {dtype}")
        _require(self.r_half.shape == (SCALE_COUNT,), "r_half", "must have 64 entries")
        _require(
            self.z_lo.ndim == 2 and self.z_lo.shape[0] == RATE_POINTS,
            "z_lo",
            f"must have shape [{RATE_POINTS}, H]",
        )
        _require(self.z_lo.shape[1] >= 1, "z_lo", "must have at least one channel")
        _require(self.z_size.shape == self.z_lo.shape, "z_size", "must have the shape of z_lo")
        _require(self.r_freq.ndim == 1 and self.z_freq.ndim == 1, "r_freq, z_freq", "must be flat")
        _require(int(self.r_half[0]) == 0, "r_half", "must be 0 at scale index 0, which is never coded")
        half = self.r_half[1:]
        _require(bool(((half >= 1) & (half <= R_MAX)).all()), "r_half", "must lie in 1..32767")
        low = self.z_lo.astype(np.int64)
        high = low + self.z_size - 1
        fits = (self.z_size >= 1) & (low >= -Z_MAX) & (high <= Z_MAX)
        _require(bool(fits.all()), "z_lo, z_size", "must describe parts of -127..127")
        _require_tables("r_freq", self.r_freq, self._r_start[1:])
        _require_tables("z_freq", self.z_freq, self._z_start)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by their names in the weights file, such as 'entropy.r_half'."""
        return {PREFIX + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> EntropyTables:
        """Build from the tensors of a weights file and validate; other tensors are ignored.

        Raises WeightsError if a tensor is missing or invalid.
        """
        missing = [name for name in _DTYPES if PREFIX + name not in arrays]
        if missing:
            msg = f"weights file: tensor {PREFIX + missing[0]} is missing; export the model again"
            raise WeightsError(msg, field=PREFIX + missing[0])
        tables = cls(**{name: _frozen(arrays[PREFIX + name]) for name in _DTYPES})
        tables.validate()
        return tables


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


def _require(ok: bool, name: str, rule: str) -> None:
    if not ok:
        msg = f"weights file: {PREFIX}{name} {rule}; the file is damaged or was exported wrongly"
        raise WeightsError(msg, field=PREFIX + name)


def _require_tables(name: str, freq: NDArray[np.uint32], start: NDArray[np.int64]) -> None:
    _require(freq.size == int(start[-1]), name, f"must have {int(start[-1])} entries, it has {freq.size}")
    _require(bool((freq >= 1).all()), name, "must hold only integers >= 1")
    sums = np.add.reduceat(freq.astype(np.int64), start[:-1])
    wrong = np.flatnonzero(sums != TOTAL)
    _require(wrong.size == 0, name, f"has tables that do not sum to 2**24 (first: {wrong[:1].tolist()})")
