"""The sizes that define one model; stored as JSON in the weights file."""

from __future__ import annotations

import dataclasses
import json
import math

from codec.bitstream.quality import RATE_POINTS, SCALE_COUNT

# Of the leaky ReLU, the only non-linearity of the float networks.
SLOPE = 0.1
# Side of the squares of pixels that the first layer of g_a and the last of g_s take as channels.
PATCH = 8
COLOURS = 3
PATCH_CHANNELS = COLOURS * PATCH * PATCH
# Where the symbols of a scale index are nearly all zero, a one costs more bits than the error it saves. This
# is the encoder's choice, decoders never see it; training with it lets the networks expect it.
DEAD_ZONE_MAX = 0.65
DEAD_ZONE_FULL, DEAD_ZONE_NONE = 8, 16
SCALE_MIN, SCALE_MAX = 0.11, 256.0
SCALE_LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALE_COUNT - 1)


@dataclasses.dataclass(frozen=True)
class ScaleLayer:
    """One layer of the integer scale network (FORMAT.md, "Scale network").

    Attributes:
        out: output channels before any shuffle.
        kernel: 1 or 3.
        shift: right shift of the accumulator.
        shuffle: whether a pixel shuffle by 2 follows.
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

    def __post_init__(self) -> None:
        if self.m % 4 or self.z_stride not in (16, 32, 64):
            raise ValueError("m must be a multiple of 4 and z_stride 16, 32 or 64")

    @property
    def scale_layers(self) -> tuple[ScaleLayer, ...]:
        """Layers of the integer scale network, first to last."""
        layers = [ScaleLayer(96, 3, 4, False)]
        layers += [ScaleLayer(256, 3, 9, True)] * (self.z_stride // 32) or [ScaleLayer(64, 3, 9, False)]
        return (*layers, ScaleLayer(self.m, 1, 8, False))

    @property
    def context_layers(self) -> tuple[ScaleLayer, ...]:
        """Layers of the scale context of one step, first to last."""
        c = self.scale_context
        return ScaleLayer(c, 1, 9, False), ScaleLayer(c, 3, 9, False), ScaleLayer(self.m, 1, 8, False)

    def lmbda(self, rate_point: float) -> float:
        """Trade-off of a rate point in 0..10: loss = bpp + lmbda * 255^2 * MSE."""
        span = math.log(self.lmbda_max / self.lmbda_min)
        return self.lmbda_min * math.exp(span * rate_point / (RATE_POINTS - 1))

    def to_json(self) -> str:
        """Serialise to one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Parse what `to_json` wrote."""
        return cls(**json.loads(text))
