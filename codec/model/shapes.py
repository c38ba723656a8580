"""Names and shapes of the float networks' weights, told without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from codec.bitstream.quality import RATE_POINTS, SCALE_COUNT
from codec.entropy.steps import STEPS
from codec.model.config import PATCH_CHANNELS

from .config import ModelConfig

Shapes = dict[str, tuple[int, ...]]

WINDOW = 16


def parameter_shapes(config: ModelConfig) -> Shapes:
    """Return the shape of every parameter by its name."""
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
    """Raise ValueError where a parameter is missing, superfluous or of another shape."""
    expected = parameter_shapes(config)
    wrong = sorted(expected.keys() ^ arrays.keys()) or [
        name for name, shape in expected.items() if arrays[name].shape != shape
    ]
    if wrong:
        raise ValueError(f"{wrong[0]} is missing, superfluous or of another shape")


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
