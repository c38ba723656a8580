"""The sizes of a model, and the names and shapes of its weights. Imports neither torch nor numpy."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

from codec.bitstream.rate_index import MAX_RATE_INDEX, RATE_POINTS, SCALE_COUNT
from codec.entropy.steps import STEPS

# Negative slope of the leaky ReLU, the only non-linearity of the float networks.
SLOPE = 0.1
# Side of the squares of pixels that the first layer of g_a and the last of g_s treat as channels.
PATCH = 8
COLOURS = 3
PATCH_CHANNELS = COLOURS * PATCH * PATCH
# Samples around a block boundary that the lapped filter combines.
WINDOW = 16
# Dead zone: at low scale indices nearly all symbols are zero, and a one costs more bits than the error it
# saves, so values up to DEAD_ZONE_MAX round to zero up to scale index DEAD_ZONE_FULL; the widening ends at
# DEAD_ZONE_NONE. Only the encoder depends on it; training includes it so that the networks adapt to it.
DEAD_ZONE_MAX = 0.65
DEAD_ZONE_FULL, DEAD_ZONE_NONE = 8, 16
# Scales of the first and the last scale index; those between are log-spaced.
SCALE_MIN, SCALE_MAX = 0.11, 256.0
SCALE_LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_COUNT - 1)

Shapes = dict[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class ScaleLayer:
    """One layer of the integer scale network (FORMAT.md, "Scale network").

    Attributes:
        out: output channels before any shuffle.
        kernel: 1 or 3.
        shift: right shift of the accumulator.
        shuffle: True if a pixel shuffle by 2 follows.
    """

    out: int
    kernel: int
    shift: int
    shuffle: bool


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Channel counts and depths of the transforms.

    Attributes:
        c8: trunk channels at 1/8.
        c16: trunk channels at 1/16.
        m: channels of the latent `y`, a multiple of 4.
        h: channels of the hyper-latent `z`.
        z_stride: pixels per hyper-latent position, 16, 32 or 64.
        blocks8: residual blocks at 1/8.
        blocks16: residual blocks at 1/16.
        hyper: channels of the hyper transforms and of the mean context.
        scale_context: channels of the scale context.
        lmbda_min: `lmbda` of rate point 0.
        lmbda_max: `lmbda` of the last rate point; those between are log-spaced.
        detail_from: the largest rate index of a header, 0..2560, that is also the base rate index.
        detail_base: the base rate index of pictures with a larger one, 0..2560 (FORMAT.md section 4.3).
    """

    c8: int = 128
    c16: int = 192
    m: int = 320
    h: int = 16
    z_stride: int = 16
    blocks8: int = 3
    blocks16: int = 3
    hyper: int = 128
    scale_context: int = 64
    lmbda_min: float = 0.00018425
    lmbda_max: float = 0.2
    detail_from: int = 2560
    detail_base: int = 2560

    def __post_init__(self) -> None:
        if self.m % 4 or self.z_stride not in (16, 32, 64):
            raise ValueError("m must be a multiple of 4 and z_stride 16, 32 or 64")
        if not {self.detail_from, self.detail_base} <= set(range(MAX_RATE_INDEX + 1)):
            raise ValueError(f"detail_from and detail_base must be integers in 0..{MAX_RATE_INDEX}")

    @property
    def scale_layers(self) -> tuple[ScaleLayer, ...]:
        """The layers of the integer scale network, first to last."""
        layers = [ScaleLayer(96, 3, 4, False)]
        layers += [ScaleLayer(256, 3, 9, True)] * (self.z_stride // 32) or [ScaleLayer(64, 3, 9, False)]
        return (*layers, ScaleLayer(self.m, 1, 8, False))

    @property
    def context_layers(self) -> tuple[ScaleLayer, ...]:
        """The layers of the scale context of one step, first to last."""
        c = self.scale_context
        return ScaleLayer(c, 1, 9, False), ScaleLayer(c, 3, 9, False), ScaleLayer(self.m, 1, 8, False)

    def lmbda(self, rate_point: float) -> float:
        """Return lmbda of a rate point in 0..10, with fractions: loss = bpp + lmbda * 255^2 * MSE."""
        span = math.log(self.lmbda_max / self.lmbda_min)
        return self.lmbda_min * math.exp(span * rate_point / (RATE_POINTS - 1))

    def base_rate_index(self, rate_index: int) -> int:
        """Return the rate index 0..2560 of the learned part. rate_index: of the header, 0..3840."""
        return rate_index if rate_index <= self.detail_from else self.detail_base

    def to_json(self) -> str:
        """Serialise to one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Parse the output of `to_json`."""
        return cls(**json.loads(text))


def parameter_shapes(config: ModelConfig) -> Shapes:
    """Return the shape of every parameter of the float networks by name."""
    m, n, c8, c16 = config.m, config.hyper, config.c8, config.c16
    halvings = (config.z_stride // 16).bit_length() - 1
    shapes: Shapes = {"gain": (RATE_POINTS, m), "inverse_gain": (RATE_POINTS, m), "lean": (SCALE_COUNT,)}
    shapes |= {"g_a.patch.weight": (PATCH_CHANNELS, 3, 8, 8)}
    shapes |= {"g_a.lap.matrix": (WINDOW, WINDOW), "g_s.unlap.matrix": (WINDOW, WINDOW)}
    shapes |= _conv("g_a.linear", m, 4 * PATCH_CHANNELS, bias=False) | _conv("g_a.in8", c8, PATCH_CHANNELS)
    shapes |= _conv("g_a.in16", c16, 4 * c8) | _conv("g_a.out", m, c16)
    shapes |= _conv("g_s.linear", 4 * PATCH_CHANNELS, m, bias=False) | _conv("g_s.in16", c16, m)
    shapes |= _conv("g_s.in8", 4 * c8, c16) | _conv("g_s.out", PATCH_CHANNELS, c8)
    shapes |= _conv("g_s.unpatch", PATCH_CHANNELS, PATCH_CHANNELS, bias=False)
    shapes |= {"g_s.rate16.log_scale": (RATE_POINTS, c16), "g_s.rate8.log_scale": (RATE_POINTS, c8)}
    for side in ("g_a", "g_s"):
        for place, channels, count in (("blocks8", c8, config.blocks8), ("blocks16", c16, config.blocks16)):
            for i in range(count):
                shapes |= _block(f"{side}.{place}.{i}", channels)
    shapes |= _conv("h_a.enter", n, m) | _conv("h_a.mix", n, n, 3) | _conv("h_a.leave", config.h, n)
    shapes |= _conv("h_s_mean.enter", n, config.h, 3) | _separable("h_s_mean.mix", n)
    shapes |= {"h_s_mean.rate.log_scale": (RATE_POINTS, n)}
    for i in range(halvings):
        shapes |= _conv(f"h_a.down.{i}", n, 4 * n) | _conv(f"h_s_mean.up.{i}", 4 * n, n)
    for step in range(STEPS):
        shapes |= _conv(f"context.from_hyper.{step}", n, n) | _conv(f"context.leave.{step}", m, n)
    for step in range(STEPS - 1):
        shapes |= _conv(f"context.from_latent.{step}", n, m, bias=False)
        shapes |= _separable(f"context.mix.{step}", n)
    return shapes


def check_shapes(config: ModelConfig, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError if a parameter is missing, unknown or of the wrong shape."""
    expected = parameter_shapes(config)
    wrong = sorted(expected.keys() ^ arrays.keys()) or [
        name for name, shape in expected.items() if arrays[name].shape != shape
    ]
    if wrong:
        raise ValueError(f"{wrong[0]} is missing, unknown or of the wrong shape")


def _conv(name: str, out: int, inputs: int, kernel: int = 1, *, bias: bool = True) -> Shapes:
    shapes: Shapes = {f"{name}.weight": (out, inputs, kernel, kernel)}
    return shapes | {f"{name}.bias": (out,)} if bias else shapes


def _block(name: str, channels: int) -> Shapes:
    half = channels // 2
    return (
        _conv(f"{name}.reduce", half, channels)
        | _conv(f"{name}.mix", half, half, 3)
        | _conv(f"{name}.expand", channels, half)
    )


def _separable(name: str, channels: int) -> Shapes:
    return _conv(f"{name}.depthwise", channels, 1, 3) | _conv(f"{name}.pointwise", channels, channels)
