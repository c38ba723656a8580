"""The integer scale network, the same bits on every machine, and tables over the rate index.

Integers held in float32. Every partial sum of a layer stays below 2**24, so each is exact in any order of
summation; shifts are products with powers of two and floors (FORMAT.md section 8).
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE
from codec.bitstream.rate_index import MAX_RATE_INDEX, RATE_POINTS, SCALE_COUNT, STEP_UNITS
from codec.entropy import steps
from codec.entropy.steps import STEPS
from codec.entropy.tables import Z_MAX
from codec.errors import BackendMismatch, WeightsError
from codec.inference.backends import Runner
from codec.inference.graphs import ACTIVATION_MAX
from codec.model.config import DEAD_ZONE_FULL, DEAD_ZONE_MAX, DEAD_ZONE_NONE, ScaleLayer


def factors(table: NDArray[np.float32], rate_index: int) -> NDArray[np.float32]:
    """Return exp of table [11, C] at a rate index 0..2560, linear between its rows: float32 [C]."""
    low = min(rate_index // STEP_UNITS, RATE_POINTS - 2)
    fraction = np.float32(rate_index / STEP_UNITS - low)
    found: NDArray[np.float32] = np.exp(table[low] + fraction * (table[low + 1] - table[low]))
    return found


def dead_zone() -> NDArray[np.float32]:
    """Return the smallest |y - mu| that becomes 1, by scale index: float32 [64], 0.65 to 8, 0.5 from 16."""
    index = np.arange(SCALE_COUNT, dtype=np.float32)
    share = np.clip((DEAD_ZONE_NONE - index) / (DEAD_ZONE_NONE - DEAD_ZONE_FULL), 0, 1)
    return (0.5 + (DEAD_ZONE_MAX - 0.5) * share).astype(np.float32)


TILE = 512
SUM_LIMIT = 2**24
# floor(16 log2(1 + v)) in whole numbers, at most 127.
MAGNITUDE_CODE = np.array([min(127, ((1 + v) ** 16).bit_length() - 1) for v in range(256)], np.float32)


def interpolate_offset(table: NDArray[np.int16], rate_index: int) -> NDArray[np.int32]:
    """Offsets [M] in 1/16 of a scale index at a rate index 0..2560, from table [11, M], in integers."""
    index = min(rate_index // STEP_UNITS, RATE_POINTS - 2)
    fraction = rate_index - STEP_UNITS * index
    low, high = table[index].astype(np.int32), table[index + 1].astype(np.int32)
    return np.asarray((low * (STEP_UNITS - fraction) + high * fraction + STEP_UNITS // 2) >> 8)


@dataclasses.dataclass(frozen=True)
class ScaleStart:
    """What depends on the hyper-latent alone.

    Attributes:
        shape: M, h, w of the tile.
        hidden: integers as float [1, C, rows, columns], the input of the last layer, zero outside the tile.
        quarters: integers as float [4, 4 Q, squares] in 1/16 of a scale index, without offset, by step.
        inside: 1 within the tile, 0 outside, float [1, 1, rows, columns]; rows and columns are even.
    """

    shape: tuple[int, int, int]
    hidden: NDArray[np.float32]
    quarters: NDArray[np.float32]
    inside: NDArray[np.float32]

    @property
    def grid(self) -> NDArray[np.int64]:
        """The 2x2 squares as the graphs take them."""
        return np.array([1, -1, self.inside.shape[2] // 2, self.inside.shape[3] // 2], np.int64)

    def quarter(self, step: int) -> NDArray[np.float32]:
        """Scale indices of a step's elements in sixteenths, float [4, Q, squares]."""
        size = self.quarters.shape[1] // STEPS
        return self.quarters[:, step * size : (step + 1) * size]

    @property
    def sixteenths(self) -> NDArray[np.float32]:
        """Scale indices of all elements in sixteenths, float [M, h, w]."""
        found = np.empty(self.shape, np.float32)
        for step in range(STEPS):
            steps.put(found, step, self.cut(self.quarter(step)))
        return found

    def cut(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what lies in the tile, [4, Q, h2, w2], of [4, Q, squares]."""
        _, _, h2, w2 = steps.shape(*self.shape)
        squares: NDArray[np.float32] = values.reshape(*values.shape[:2], *self.grid[2:])
        return squares[:, :, :h2, :w2]


class ScaleNetwork:
    """Frozen integer network. Immutable after construction, so threads may share it.

    Always computed at the shape of a whole tile; positions outside the tile's own stay zero in every layer.
    arrays: of the weights file. runner: what computes the graphs.
    Raises WeightsError where a bound of FORMAT.md is broken.
    """

    def __init__(
        self,
        layers: Sequence[ScaleLayer],
        context_layers: Sequence[ScaleLayer],
        z_stride: int,
        arrays: Mapping[str, NDArray[np.generic]],
        runner: Runner,
    ) -> None:
        self.layers, self.context_layers, self.z_stride = tuple(layers), tuple(context_layers), z_stride
        self.offset = np.asarray(arrays["scale.offset"], np.int16)
        self.arrays = {name: np.asarray(a) for name, a in arrays.items() if name.startswith("scale.")}
        self._run, self._backend = runner.run, runner.name
        _check_bounds(arrays, "scale", len(self.layers), Z_MAX)
        for step in range(STEPS - 1):
            _check_bounds(arrays, f"scale.context.{step}", len(self.context_layers), ACTIVATION_MAX)

    def start(self, z: NDArray[np.int16]) -> ScaleStart:
        """Run the network over hyper-latents z, int16 [H, hz, wz] with |z| <= 127."""
        factor = self.z_stride // LATENT_STRIDE
        side = TILE // self.z_stride
        channels, height, width = z.shape
        # Even, at the latents too, where one position of z may be one of theirs.
        rows, columns = (max(side, size + size % 2) for size in (height, width))
        x = np.zeros((1, channels, rows, columns), np.float32)
        x[0, :, :height, :width] = z
        insides = {}
        inside = np.zeros((1, 1, rows, columns), np.float32)
        inside[..., :height, :width] = 1
        for index in range(factor.bit_length()):
            insides[f"inside{index}"] = inside.repeat(1 << index, 2).repeat(1 << index, 3)
        hidden, sixteenths = self._run("scale", {"z": x, **insides})
        shape = (self.offset.shape[1], height * factor, width * factor)
        return ScaleStart(shape, hidden, sixteenths, insides[f"inside{factor.bit_length() - 1}"])

    def step_index(
        self, step: int, start: ScaleStart, known: NDArray[np.int16], rate_index: int, *, lift: bool = False
    ) -> NDArray[np.uint8]:
        """Return scale indices of a step's elements, uint8 [4, Q, h2, w2] in 0..63.

        known: residuals of the steps before, int16 [4, step * Q, h2, w2]. rate_index: 0..2560. lift: raise 0
        to 1.
        """
        sixteenths = start.quarter(step)
        if step:
            sixteenths = sixteenths + self._from_residuals(step, start, known)
        sixteenths = start.cut(sixteenths) + self.offset_of(step, rate_index)
        # Whole numbers below 2**24 over 16: exact.
        np.floor(np.multiply(sixteenths, np.float32(1 / 16), out=sixteenths), out=sixteenths)
        return np.clip(sixteenths, int(lift), SCALE_COUNT - 1, out=sixteenths).astype(np.uint8)

    def offset_of(self, step: int, rate_index: int) -> NDArray[np.float32]:
        """Return the offsets of a step's elements in 1/16 of a scale index, float [4, Q, 1, 1]."""
        whole = interpolate_offset(self.offset, rate_index).astype(np.float32)
        size = -(-whole.size // STEPS)
        found = np.zeros((STEPS, size, 1, 1), np.float32)
        for position in range(STEPS):
            chosen = steps.channels(whole.size, step, position)
            found[position, : chosen.size, 0, 0] = whole[chosen]
        return found

    def _from_residuals(self, step: int, start: ScaleStart, known: NDArray[np.int16]) -> NDArray[np.float32]:
        h2, w2 = start.grid[2:].tolist()
        codes = np.zeros((*known.shape[:2], h2, w2), np.float32)
        size = np.minimum(np.abs(known.astype(np.int32)), MAGNITUDE_CODE.size - 1)
        codes[:, :, : known.shape[2], : known.shape[3]] = MAGNITUDE_CODE[size]
        inputs: dict[str, NDArray[Any]] = {"hidden": start.hidden, "inside": start.inside, "grid": start.grid}
        flat = codes.reshape(*codes.shape[:2], -1)
        return self._run(f"scale{step}", {**inputs, "codes": flat})[0]

    def scale_index(
        self, step: int, start: ScaleStart, r: NDArray[np.int16], rate_index: int, *, lift: bool = False
    ) -> NDArray[np.uint8]:
        """Return scale indices uint8 [M, h, w] in 0..63 where this step codes, 0 elsewhere.

        r: residuals int16 [M, h, w] of the steps before, at least.
        """
        known = [steps.take(r, before) for before in range(step)]
        index = np.zeros(r.shape, np.uint8)
        joined = np.concatenate(known, 1) if known else np.zeros((STEPS, 0, 0, 0), np.int16)
        steps.put(index, step, self.step_index(step, start, joined, rate_index, lift=lift))
        return index

    def scale_indices(self, z: NDArray[np.int16], r: NDArray[np.int16], rate_index: int) -> NDArray[np.uint8]:
        """Scale indices uint8 [M, h, w] of all steps, for residuals r int16 [M, h, w] that are all known."""
        start = self.start(z)
        index = np.zeros(r.shape, np.uint8)
        for step in range(STEPS):
            index |= self.scale_index(step, start, r, rate_index)
        return index

    def known_answer(self, z: NDArray[np.int16]) -> int:
        """CRC-32 of the sixteenths (int32 little-endian), then of the indices at rate index 0 and 2560."""
        sixteenths = self.start(z).sixteenths
        crc = zlib.crc32(sixteenths.astype("<i4").tobytes())
        r = known_residuals(*sixteenths.shape)
        for rate_index in (0, MAX_RATE_INDEX):
            crc = zlib.crc32(self.scale_indices(z, r, rate_index).tobytes(), crc)
        return crc

    def verify(self, z: NDArray[np.int16], expected: int) -> None:
        """Raise BackendMismatch unless this machine's float32 convolution gives the known answer on z."""
        if self.known_answer(z) != expected:
            raise BackendMismatch(
                f"{self._backend} on this machine does not give the known answer of the entropy network, so "
                "files could not be read back; install another version of it, or set VAEZIP_BACKEND to the "
                "other one of torch and onnx"
            )


def known_residuals(channels: int, height: int, width: int) -> NDArray[np.int16]:
    """Residuals of the known-answer test (FORMAT.md section 5.2): small ones above, any below."""
    c, y, x = np.indices((channels, height, width))
    count = 37 * c + 101 * y + 59 * x
    r: NDArray[np.int16] = np.where(2 * y < height, count % 7 - 3, count % 511 - 255).astype(np.int16)
    return r


def _check_bounds(arrays: Mapping[str, NDArray[np.generic]], prefix: str, count: int, largest: int) -> None:
    for index in range(count):
        weight = np.asarray(arrays[f"{prefix}.{index}.weight"], np.float64)
        bias = np.asarray(arrays[f"{prefix}.{index}.bias"], np.float64)
        if (np.abs(weight).sum((1, 2, 3)) * largest + np.abs(bias)).max() >= SUM_LIMIT:
            raise WeightsError(f"{prefix}.{index}: sums may reach 2**24 and lose exactness; export again")
        largest = ACTIVATION_MAX
