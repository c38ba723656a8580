"""The integer scale network: from hyper-latents to scale indices, the same bits on every machine.

Integers held in float32. Every partial sum of a layer stays below 2**24, so each is exact in any order of
summation; shifts are products with powers of two and floors (FORMAT.md, "Scale network").
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from codec.errors import BackendMismatch, WeightsError

from .config import LATENT_STRIDE, MAX_RATE, RATE_POINTS, SCALE_LEVELS, STEP_UNITS, ScaleLayer

TILE = 512
ACTIVATION_MAX = 255
INPUT_MAX = 127
SUM_LIMIT = 2**24


def interpolate_offset(table: NDArray[np.int16], quality: int) -> NDArray[np.int32]:
    """Offsets [M] in 1/16 level at a quality in 0..1792, from table [8, M], in integer arithmetic."""
    index = min(quality // STEP_UNITS, RATE_POINTS - 2)
    fraction = quality - STEP_UNITS * index
    low, high = table[index].astype(np.int32), table[index + 1].astype(np.int32)
    return np.asarray((low * (STEP_UNITS - fraction) + high * fraction + STEP_UNITS // 2) >> 8)


class ScaleNetwork:
    """Frozen integer network. Immutable after construction, so threads may share it.

    Raises WeightsError where a bound of FORMAT.md is broken.
    """

    def __init__(
        self, layers: Sequence[ScaleLayer], z_stride: int, arrays: Mapping[str, NDArray[np.generic]]
    ) -> None:
        self.layers, self.z_stride = tuple(layers), z_stride
        self.offset = np.asarray(arrays["scale.offset"], np.int16)
        self._weights: list[Tensor] = []
        self._biases: list[Tensor] = []
        for index in range(len(self.layers)):
            weight = np.asarray(arrays[f"scale.{index}.weight"], np.float64)
            bias = np.asarray(arrays[f"scale.{index}.bias"], np.float64)
            largest = ACTIVATION_MAX if index else INPUT_MAX
            if (np.abs(weight).sum((1, 2, 3)) * largest + np.abs(bias)).max() >= SUM_LIMIT:
                raise WeightsError(f"scale.{index}: sums may reach 2**24 and lose exactness; export again")
            self._weights.append(torch.from_numpy(weight.astype(np.float32)))
            self._biases.append(torch.from_numpy(bias.astype(np.float32)))

    @torch.inference_mode()
    def levels(self, z: NDArray[np.int16]) -> NDArray[np.int32]:
        """Run the network without offset. z: int16 [H, hz, wz], |z| <= 127 -> int32 [M, h, w] in 1/16 level.

        Always computed at the shape of a whole tile; positions outside the given z stay zero in every layer.
        """
        side = TILE // self.z_stride
        channels, height, width = z.shape
        rows, columns = max(side, height), max(side, width)
        x = torch.zeros(1, channels, rows, columns)
        x[0, :, :height, :width] = torch.from_numpy(z.astype(np.float32))
        inside = torch.zeros(1, 1, rows, columns)
        inside[..., :height, :width] = 1
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = F.conv2d(x, self._weights[index], self._biases[index], padding=layer.kernel // 2)
            x = torch.floor(x * 2.0**-layer.shift)
            if index < last:
                x = x.clamp(0, ACTIVATION_MAX)
            if layer.shuffle:
                x = F.pixel_shuffle(x, 2)
                inside = inside.repeat_interleave(2, 2).repeat_interleave(2, 3)
            x = x * inside
        factor = self.z_stride // LATENT_STRIDE
        return x[0, :, : height * factor, : width * factor].numpy().astype(np.int32)

    def scale_index(self, z: NDArray[np.int16], quality: int) -> NDArray[np.uint8]:
        """Scale indices uint8 [M, h, w], 0..63, of hyper-latents z int16 [H, hz, wz] at quality 0..1792."""
        level = (self.levels(z) + interpolate_offset(self.offset, quality)[:, None, None]) >> 4
        index: NDArray[np.uint8] = np.clip(level, 0, SCALE_LEVELS - 1).astype(np.uint8)
        return index

    def known_answer(self, z: NDArray[np.int16]) -> int:
        """CRC-32 of the levels (int32 little-endian), then of the indices at both ends of quality."""
        crc = zlib.crc32(self.levels(z).astype("<i4").tobytes())
        for quality in (0, MAX_RATE):
            crc = zlib.crc32(self.scale_index(z, quality).tobytes(), crc)
        return crc

    def verify(self, z: NDArray[np.int16], expected: int) -> None:
        """Raise BackendMismatch unless this machine's float32 convolution gives the known answer on z."""
        if self.known_answer(z) != expected:
            raise BackendMismatch(
                "this machine's float32 convolution does not give the known answer of the entropy network; "
                "files could not be read back. Try ONEDNN_MAX_CPU_ISA=AVX2 or another torch version"
            )
