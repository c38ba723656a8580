"""The integer scale network, exact on every machine, and interpolation of tables over the rate index.

The network computes with integers held in float32. Every partial sum of a layer stays below 2**24 and is
therefore exact in any order of summation; shifts are multiplications by powers of two followed by floors
(FORMAT.md section 8).
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

# Side of the area in pixels that the network is computed over at least: that of a usual tile.
TILE = 512
# Float32 holds every integer below this exactly.
SUM_LIMIT = 2**24
# floor(16 log2(1 + v)) of magnitude v, computed in integers, at most 127.
MAGNITUDE_CODE = np.array([min(127, ((1 + v) ** 16).bit_length() - 1) for v in range(256)], np.float32)


def factors(table: NDArray[np.float32], rate_index: int) -> NDArray[np.float32]:
    """Return exp(table) at a rate index 0..2560: float32 [C]. table: [11, C], interpolated between rows."""
    low = min(rate_index // STEP_UNITS, RATE_POINTS - 2)
    fraction = np.float32(rate_index / STEP_UNITS - low)
    values: NDArray[np.float32] = np.exp(table[low] + fraction * (table[low + 1] - table[low]))
    return values


def dead_zone() -> NDArray[np.float32]:
    """Return the smallest |y - mu| that rounds to 1, by scale index: float32 [64].

    It is 0.65 up to index 8, 0.5 from index 16 on, and linear between.
    """
    index = np.arange(SCALE_COUNT, dtype=np.float32)
    share = np.clip((DEAD_ZONE_NONE - index) / (DEAD_ZONE_NONE - DEAD_ZONE_FULL), 0, 1)
    return (0.5 + (DEAD_ZONE_MAX - 0.5) * share).astype(np.float32)


def interpolate_offset(table: NDArray[np.int16], rate_index: int) -> NDArray[np.int32]:
    """Return offsets [M] in 1/16 of a scale index at a rate index 0..2560, interpolated in integers.

    table: [11, M], a row for each rate point.
    """
    index = min(rate_index // STEP_UNITS, RATE_POINTS - 2)
    fraction = rate_index - STEP_UNITS * index
    low, high = table[index].astype(np.int32), table[index + 1].astype(np.int32)
    return np.asarray((low * (STEP_UNITS - fraction) + high * fraction + STEP_UNITS // 2) >> 8)


@dataclasses.dataclass(frozen=True)
class ScaleStart:
    """The outputs of the scale network that depend only on the hyper-latent.

    Attributes:
        shape: M, h, w of the tile.
        hidden: input of the last layer, integers as float32 [1, C, rows, columns], zero outside the tile.
        by_step: scale indices in sixteenths without offset, integers as float32 [4, 4 Q, squares], ordered
            by coding step.
        inside: 1 inside the tile, 0 outside, float32 [1, 1, rows, columns]; rows and columns are even.
    """

    shape: tuple[int, int, int]
    hidden: NDArray[np.float32]
    by_step: NDArray[np.float32]
    inside: NDArray[np.float32]

    @property
    def grid(self) -> NDArray[np.int64]:
        """The grid of 2x2 squares, int64 [4], as the graphs need it: 1, -1, rows / 2, columns / 2."""
        return np.array([1, -1, self.inside.shape[2] // 2, self.inside.shape[3] // 2], np.int64)

    def of_step(self, step: int) -> NDArray[np.float32]:
        """Return the scale indices of a step's elements in sixteenths, float32 [4, Q, squares]."""
        size = self.by_step.shape[1] // STEPS
        return self.by_step[:, step * size : (step + 1) * size]

    @property
    def sixteenths(self) -> NDArray[np.float32]:
        """The scale indices of all elements in sixteenths, float32 [M, h, w]."""
        whole = np.empty(self.shape, np.float32)
        for step in range(STEPS):
            steps.put(whole, step, self.cut(self.of_step(step)))
        return whole

    def cut(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the part of values [4, Q, squares] inside the tile: [4, Q, h2, w2]."""
        _, _, h2, w2 = steps.shape(*self.shape)
        squares: NDArray[np.float32] = values.reshape(*values.shape[:2], *self.grid[2:])
        return squares[:, :, :h2, :w2]


class ScaleNetwork:
    """The frozen integer scale network. Immutable after construction, so threads may share it.

    It is computed over at least the area of a 512x512 tile; positions outside the tile are 0 in each layer.
    arrays: of the weights file. runner: computes the graphs.
    Raises WeightsError if the weights exceed a bound of FORMAT.md section 8.
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
        # Even, so that the latent map is even too where z has the same resolution.
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
        """Return the scale indices of a step's elements, uint8 [4, Q, h2, w2] in 0..63.

        known: residuals of the earlier steps, int16 [4, step * Q, h2, w2]. rate_index: the tile's own,
        0..2560. lift: raise 0 to 1.
        """
        sixteenths = start.of_step(step)
        if step:
            sixteenths = sixteenths + self._from_residuals(step, start, known)
        sixteenths = start.cut(sixteenths) + self.offset_of(step, rate_index)
        # Integers below 2**24, divided by 16, are exact in float32.
        np.floor(np.multiply(sixteenths, np.float32(1 / 16), out=sixteenths), out=sixteenths)
        return np.clip(sixteenths, int(lift), SCALE_COUNT - 1, out=sixteenths).astype(np.uint8)

    def offset_of(self, step: int, rate_index: int) -> NDArray[np.float32]:
        """Return the offsets of a step's elements in 1/16 of a scale index, float32 [4, Q, 1, 1]."""
        whole = interpolate_offset(self.offset, rate_index).astype(np.float32)
        size = -(-whole.size // STEPS)
        offsets = np.zeros((STEPS, size, 1, 1), np.float32)
        for position in range(STEPS):
            chosen = steps.channels(whole.size, step, position)
            offsets[position, : chosen.size, 0, 0] = whole[chosen]
        return offsets

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
        """Return the scale indices, uint8 [M, h, w] in 0..63, of the elements of this step, 0 elsewhere.

        r: residuals, int16 [M, h, w]; only those of earlier steps are read.
        """
        known = [steps.take(r, before) for before in range(step)]
        index = np.zeros(r.shape, np.uint8)
        joined = np.concatenate(known, 1) if known else np.zeros((STEPS, 0, 0, 0), np.int16)
        steps.put(index, step, self.step_index(step, start, joined, rate_index, lift=lift))
        return index

    def scale_indices(self, z: NDArray[np.int16], r: NDArray[np.int16], rate_index: int) -> NDArray[np.uint8]:
        """Return the scale indices of all steps, uint8 [M, h, w], given all residuals r, int16 [M, h, w]."""
        start = self.start(z)
        index = np.zeros(r.shape, np.uint8)
        for step in range(STEPS):
            index |= self.scale_index(step, start, r, rate_index)
        return index

    def known_answer(self, z: NDArray[np.int16]) -> int:
        """Return the CRC-32 that the known-answer test compares (FORMAT.md section 5.2).

        It covers the sixteenths (int32 little-endian), then the scale indices at rate indices 0 and 2560.
        """
        sixteenths = self.start(z).sixteenths
        crc = zlib.crc32(sixteenths.astype("<i4").tobytes())
        r = known_residuals(*sixteenths.shape)
        for rate_index in (0, MAX_RATE_INDEX):
            crc = zlib.crc32(self.scale_indices(z, r, rate_index).tobytes(), crc)
        return crc

    def verify(self, z: NDArray[np.int16], expected: int) -> None:
        """Raise BackendMismatch unless the backend computes the expected known answer for z."""
        if self.known_answer(z) != expected:
            raise BackendMismatch(
                f"{self._backend} does not compute the known answer of the scale network on this machine, so "
                "files could not be decoded; install another version of it, or set VAEZIP_BACKEND to the "
                "other of torch and onnx"
            )


def known_residuals(channels: int, height: int, width: int) -> NDArray[np.int16]:
    """Return the residuals of the known-answer test (FORMAT.md section 5.2).

    They are -3..3 in the upper half of the map and -255..255 in the lower half.
    """
    c, y, x = np.indices((channels, height, width))
    count = 37 * c + 101 * y + 59 * x
    r: NDArray[np.int16] = np.where(2 * y < height, count % 7 - 3, count % 511 - 255).astype(np.int16)
    return r


def _check_bounds(arrays: Mapping[str, NDArray[np.generic]], prefix: str, count: int, largest: int) -> None:
    for index in range(count):
        weight = np.asarray(arrays[f"{prefix}.{index}.weight"], np.float64)
        bias = np.asarray(arrays[f"{prefix}.{index}.bias"], np.float64)
        if (np.abs(weight).sum((1, 2, 3)) * largest + np.abs(bias)).max() >= SUM_LIMIT:
            raise WeightsError(
                f"{prefix}.{index}: sums may reach 2**24 and be inexact; export the model again"
            )
        largest = ACTIVATION_MAX
