"""The integer scale network: hyper-latents and residuals to scale indices, the same bits on every machine.

Integers held in float32. Every partial sum of a layer stays below 2**24, so each is exact in any order of
summation; shifts are products with powers of two and floors (FORMAT.md section 8).
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from codec.entropy.steps import STEPS, step_of
from codec.errors import BackendMismatch, WeightsError

from .config import LATENT_STRIDE, MAX_RATE, RATE_POINTS, SCALE_LEVELS, STEP_UNITS, ScaleLayer

TILE = 512
ACTIVATION_MAX = 255
INPUT_MAX = 127
SUM_LIMIT = 2**24
# floor(16 log2(1 + v)) in whole numbers, at most 127.
MAGNITUDE_CODE = np.array([min(127, ((1 + v) ** 16).bit_length() - 1) for v in range(256)], np.float32)


def interpolate_offset(table: NDArray[np.int16], quality: int) -> NDArray[np.int32]:
    """Offsets [M] in 1/16 level at a quality in 0..1792, from table [8, M], in integer arithmetic."""
    index = min(quality // STEP_UNITS, RATE_POINTS - 2)
    fraction = quality - STEP_UNITS * index
    low, high = table[index].astype(np.int32), table[index + 1].astype(np.int32)
    return np.asarray((low * (STEP_UNITS - fraction) + high * fraction + STEP_UNITS // 2) >> 8)


@dataclasses.dataclass(frozen=True)
class ScaleStart:
    """What depends on the hyper-latent alone.

    Attributes:
        hidden: integers as float [1, C, rows, columns], the input of the last layer, zero outside the tile.
        levels: integers as float [M, h, w] in 1/16 level, without offset.
        inside: 1 within the tile, 0 outside, float [1, 1, rows, columns].
    """

    hidden: Tensor
    levels: Tensor
    inside: Tensor


class ScaleNetwork:
    """Frozen integer network. Immutable after construction, so threads may share it.

    Always computed at the shape of a whole tile; positions outside the tile's own stay zero in every layer.
    Raises WeightsError where a bound of FORMAT.md is broken.
    """

    def __init__(
        self,
        layers: Sequence[ScaleLayer],
        context_layers: Sequence[ScaleLayer],
        z_stride: int,
        arrays: Mapping[str, NDArray[np.generic]],
    ) -> None:
        self.layers, self.context_layers, self.z_stride = tuple(layers), tuple(context_layers), z_stride
        self.offset = np.asarray(arrays["scale.offset"], np.int16)
        self._base = _read(arrays, "scale", self.layers, INPUT_MAX)
        self._context = [
            _read(arrays, f"scale.context.{step}", self.context_layers, ACTIVATION_MAX)
            for step in range(STEPS - 1)
        ]

    @torch.inference_mode()
    def start(self, z: NDArray[np.int16]) -> ScaleStart:
        """Run the network over hyper-latents z, int16 [H, hz, wz] with |z| <= 127."""
        side = TILE // self.z_stride
        channels, height, width = z.shape
        rows, columns = max(side, height), max(side, width)
        x = torch.zeros(1, channels, rows, columns)
        x[0, :, :height, :width] = torch.from_numpy(z.astype(np.float32))
        inside = torch.zeros(1, 1, rows, columns)
        inside[..., :height, :width] = 1
        *before, last = self._base
        for layer in before:
            x = layer.clamped(x)
            if layer.shuffle:
                x = F.pixel_shuffle(x, 2)
                inside = inside.repeat_interleave(2, 2).repeat_interleave(2, 3)
            x = x * inside
        factor = self.z_stride // LATENT_STRIDE
        return ScaleStart(x, last(x)[0, :, : height * factor, : width * factor], inside)

    @torch.inference_mode()
    def scale_index(
        self, step: int, start: ScaleStart, r: NDArray[np.int16], quality: int, *, lift: bool = False
    ) -> NDArray[np.uint8]:
        """Return scale indices uint8 [M, h, w] in 0..63, meaningful where this step codes.

        r: residuals int16 [M, h, w], zero where not yet decoded. quality: 0..1792. lift: raise 0 to 1.
        """
        levels = start.levels + torch.from_numpy(interpolate_offset(self.offset, quality))[:, None, None]
        if step:
            levels = levels + self._from_residuals(step, start, r)
        # Whole numbers below 2**24 over 16: exact.
        return torch.floor(levels / 16).clamp_(int(lift), SCALE_LEVELS - 1).to(torch.uint8).numpy()

    def _from_residuals(self, step: int, start: ScaleStart, r: NDArray[np.int16]) -> Tensor:
        channels, height, width = r.shape
        hidden = start.hidden
        x = torch.zeros(1, channels + hidden.shape[1], *hidden.shape[2:])
        code = MAGNITUDE_CODE[np.minimum(np.abs(r.astype(np.int32)), MAGNITUDE_CODE.size - 1)]
        x[0, :channels, :height, :width] = torch.from_numpy(code)
        x[:, channels:] = hidden
        *before, last = self._context[step - 1]
        for layer in before:
            x = layer.clamped(x) * start.inside
        return last(x)[0, :, :height, :width]

    def scale_indices(self, z: NDArray[np.int16], r: NDArray[np.int16], quality: int) -> NDArray[np.uint8]:
        """Scale indices uint8 [M, h, w] of all steps, for residuals r int16 [M, h, w] that are all known."""
        start, steps = self.start(z), step_of(*r.shape)
        index = np.zeros(r.shape, np.uint8)
        for step in range(STEPS):
            known = np.where(steps < step, r, np.int16(0))
            index = np.where(steps == step, self.scale_index(step, start, known, quality), index)
        return index

    def known_answer(self, z: NDArray[np.int16]) -> int:
        """CRC-32 of the levels (int32 little-endian), then of the indices at both ends of quality."""
        levels = self.start(z).levels.numpy()
        crc = zlib.crc32(levels.astype("<i4").tobytes())
        r = known_residuals(*levels.shape)
        for quality in (0, MAX_RATE):
            crc = zlib.crc32(self.scale_indices(z, r, quality).tobytes(), crc)
        return crc

    def verify(self, z: NDArray[np.int16], expected: int) -> None:
        """Raise BackendMismatch unless this machine's float32 convolution gives the known answer on z."""
        if self.known_answer(z) != expected:
            raise BackendMismatch(
                "this machine's float32 convolution does not give the known answer of the entropy network; "
                "files could not be read back. Try ONEDNN_MAX_CPU_ISA=AVX2 or another torch version"
            )


def known_residuals(channels: int, height: int, width: int) -> NDArray[np.int16]:
    """Residuals of the known-answer test (FORMAT.md section 5.2): small ones above, any below."""
    c, y, x = np.indices((channels, height, width))
    count = 37 * c + 101 * y + 59 * x
    r: NDArray[np.int16] = np.where(2 * y < height, count % 7 - 3, count % 511 - 255).astype(np.int16)
    return r


class _Layer:
    """One convolution of the network, with its shift."""

    def __init__(self, layer: ScaleLayer, weight: Tensor, bias: Tensor) -> None:
        self.shuffle, self._factor = layer.shuffle, 2.0**-layer.shift
        self._weight, self._bias, self._padding = weight, bias, layer.kernel // 2

    def __call__(self, x: Tensor) -> Tensor:
        total = F.conv2d(x, self._weight, self._bias, padding=self._padding)
        return torch.floor_(total.mul_(self._factor))

    def clamped(self, x: Tensor) -> Tensor:
        return self(x).clamp_(0, ACTIVATION_MAX)


def _read(
    arrays: Mapping[str, NDArray[np.generic]], prefix: str, layers: Sequence[ScaleLayer], largest: int
) -> list[_Layer]:
    found = []
    for index, layer in enumerate(layers):
        weight = np.asarray(arrays[f"{prefix}.{index}.weight"], np.float64)
        bias = np.asarray(arrays[f"{prefix}.{index}.bias"], np.float64)
        if (np.abs(weight).sum((1, 2, 3)) * largest + np.abs(bias)).max() >= SUM_LIMIT:
            raise WeightsError(f"{prefix}.{index}: sums may reach 2**24 and lose exactness; export again")
        weights = (torch.from_numpy(a.astype(np.float32)) for a in (weight, bias))
        found.append(_Layer(layer, *weights))
        largest = ACTIVATION_MAX
    return found
