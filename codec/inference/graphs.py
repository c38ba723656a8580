"""The graphs of the networks, as functions over the operations that a backend provides.

The networks are those of codec.networks, but weights are folded and permuted (folding.py), positions are
cropped as soon as no later layer needs them, and each coding step computes only the elements that it codes.
Latents of one step are [4, M/4, n]: the four positions of each 2x2 square, each with its own quarter of the
channels (codec.entropy.steps).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from codec.entropy.steps import STEPS
from codec.model.config import ModelConfig, ScaleLayer

T = TypeVar("T")

# Largest activation of the integer networks.
ACTIVATION_MAX = 255
# Inputs of type int64.
INTEGERS = frozenset({"keep8", "keep16", "grid"})


class Ops(Protocol[T]):
    """Operations on T, planes [1, C, h, w] unless noted; weights are referred to by name.

    act, add, mul, floor and clamp may overwrite their first argument, which must therefore come from a
    conv or matmul whose result nothing else reads.
    """

    def conv(self, x: T, name: str, kernel: int = 1, *, depthwise: bool = False, bias: bool = True) -> T:
        """Convolve with `name.weight` and add `name.bias`; zero padding, stride 1."""

    def matmul(self, x: T, name: str, *, bias: bool = True) -> T:
        """Return `name.weight` [4, O, I] @ x [4, I, n] + `name.bias` [4, O, 1]."""

    def act(self, x: T) -> T:
        """Apply the leaky ReLU."""

    def add(self, x: T, y: T) -> T:
        """Return x + y."""

    def mul(self, x: T, y: T) -> T:
        """Return x * y; the sizes C, or h and w, of y may be 1."""

    def floor(self, x: T, factor: float) -> T:
        """Return x * factor rounded down."""

    def clamp(self, x: T, low: float, high: float) -> T:
        """Return x clamped to low..high."""

    def crop(self, x: T, box: T) -> T:
        """Return the rows and columns of a box, int64 [4]: top, left, bottom, right, ends excluded."""

    def up(self, x: T) -> T:
        """Shuffle pixels, [1, 4C, h, w] -> [1, C, 2h, 2w]; channel (2 dy + dx) C + c goes to c, (dy, dx)."""

    def down(self, x: T) -> T:
        """Invert `up`."""

    def parities(self, x: T) -> T:
        """Split by position in each 2x2 square: [1, C, 2h, 2w] -> [4, C, h w]; (dy, dx) goes to 2 dy + dx."""

    def interleave(self, x: T, grid: T) -> T:
        """Invert `parities`. grid: int64 [4], holding 1, -1, h, w."""

    def patches(self, x: T) -> T:
        """Move 8x8 pixels to channels (8 dy + dx) 3 + c: samples [16h, 48w] -> [1, 192, 2h, 2w]."""

    def pixels(self, x: T) -> T:
        """Invert `patches`."""

    def filter_columns(self, x: T, name: str, both: T | None) -> T:
        """Multiply the 16 samples of a column around each block boundary by `name` [16, 16]; x: [16h, 48w].

        both: float [h + 1, 1, 48w], 1 where both sides have latents and the filter applies, else 0, as at the
        ends; None if it applies everywhere except at the ends.
        """

    def filter_rows(self, x: T, name: str, both: T | None) -> T:
        """Filter along rows likewise, by `name` [48, 48] as the right factor; both: float [16h, w + 1, 1]."""


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Everything that the graphs depend on except weights."""

    config: ModelConfig
    scale_layers: tuple[ScaleLayer, ...]
    context_layers: tuple[ScaleLayer, ...]


@dataclasses.dataclass(frozen=True)
class Graph:
    """A graph: the rank of each input by name (int64 if in INTEGERS, else float32), and its function."""

    inputs: dict[str, int]
    compute: Callable[..., Sequence[Any]]


def graphs(arch: Architecture) -> dict[str, Graph]:
    """Return all graphs of an architecture by name."""
    config = arch.config
    gaps = {"at8": 4, "at16": 4, "rows": 3, "columns": 3}
    analysis = {"x": 2, "keep16": 1, "keep8": 1}
    synthesis = {"y_hat": 4, "rate16": 4, "rate8": 4, "keep16": 1, "keep8": 1}
    shuffles = sum(layer.shuffle for layer in arch.scale_layers)
    insides = {f"inside{i}": 4 for i in range(shuffles + 1)}
    by_name = {
        "analysis": Graph(analysis, lambda ops, *x: _analysis(ops, config, *x)),
        "analysis_gaps": Graph(analysis | gaps, lambda ops, *x: _analysis(ops, config, *x)),
        "synthesis": Graph(synthesis, lambda ops, *x: _synthesis(ops, config, *x)),
        "synthesis_gaps": Graph(synthesis | gaps, lambda ops, *x: _synthesis(ops, config, *x)),
        "hyper_analysis": Graph({"y": 4}, lambda ops, y: _hyper_analysis(ops, config, y)),
        "hyper_mean": Graph({"z": 4, "rate": 4}, lambda ops, *x: _hyper_mean(ops, config, *x)),
        "scale": Graph({"z": 4} | insides, lambda ops, z, *x: _scale(ops, arch.scale_layers, z, x)),
        "mean0": Graph({"features": 4}, _first_mean),
    }
    for step in range(1, STEPS):
        by_name[f"mean{step}"] = _mean(step)
        by_name[f"scale{step}"] = _scale_context(step, arch.context_layers)
    return by_name


def _block(ops: Ops[T], x: T, name: str, mask: T | None) -> T:
    h = ops.act(ops.conv(x, f"{name}.reduce"))
    if mask is not None:
        h = ops.mul(h, mask)
    h = ops.act(ops.conv(h, f"{name}.mix", 3))
    return ops.add(ops.conv(h, f"{name}.expand"), x)


def _analysis(
    ops: Ops[T],
    config: ModelConfig,
    x: T,
    keep16: T,
    keep8: T,
    at8: T | None = None,
    at16: T | None = None,
    rows: T | None = None,
    columns: T | None = None,
) -> list[T]:
    """g_a. x: samples - 0.5. keep8: box at 1/8 that goes on to 1/16. keep16: box of that to output."""
    lapped = ops.filter_columns(ops.filter_rows(x, "lap.rows", rows), "lap.columns", columns)
    f = ops.patches(lapped)
    h = ops.act(ops.conv(f, "g_a.in8"))
    for i in range(config.blocks8):
        h = _block(ops, h, f"g_a.blocks8.{i}", at8)
    h = ops.act(ops.conv(ops.down(ops.crop(h, keep8)), "g_a.in16"))
    for i in range(config.blocks16):
        h = _block(ops, h, f"g_a.blocks16.{i}", at16)
    linear = ops.down(ops.crop(f, keep8))
    out = ops.conv(ops.crop(h, keep16), "g_a.out")
    return [ops.add(out, ops.conv(ops.crop(linear, keep16), "g_a.linear", bias=False))]


def _synthesis(
    ops: Ops[T],
    config: ModelConfig,
    y_hat: T,
    rate16: T,
    rate8: T,
    keep16: T,
    keep8: T,
    at8: T | None = None,
    at16: T | None = None,
    rows: T | None = None,
    columns: T | None = None,
) -> list[T]:
    """g_s, to levels. keep16: box at 1/16 that goes on to 1/8. keep8: box of that to output."""
    h = ops.mul(ops.act(ops.conv(y_hat, "g_s.in16")), rate16)
    for i in range(config.blocks16):
        h = _block(ops, h, f"g_s.blocks16.{i}", at16)
    h = ops.mul(ops.act(ops.up(ops.conv(ops.crop(h, keep16), "g_s.in8"))), rate8)
    for i in range(config.blocks8):
        h = _block(ops, h, f"g_s.blocks8.{i}", at8)
    linear = ops.up(ops.conv(ops.crop(y_hat, keep16), "g_s.linear", bias=False))
    f = ops.add(ops.conv(ops.crop(h, keep8), "g_s.out"), ops.crop(linear, keep8))
    x = ops.filter_columns(ops.pixels(f), "unlap.columns", columns)
    return [ops.filter_rows(x, "unlap.rows", rows)]


def _hyper_analysis(ops: Ops[T], config: ModelConfig, y: T) -> list[T]:
    """h_a. y: sign(y) log(1 + abs(y)) of the scaled latent."""
    h = ops.act(ops.conv(y, "h_a.enter"))
    for i in range((config.z_stride // 16).bit_length() - 1):
        h = ops.act(ops.conv(ops.down(h), f"h_a.down.{i}"))
    return [ops.conv(ops.act(ops.conv(h, "h_a.mix", 3)), "h_a.leave")]


def _hyper_mean(ops: Ops[T], config: ModelConfig, z: T, rate: T) -> list[T]:
    """h_s_mean followed by the first layer of each step's context."""
    h = ops.act(ops.conv(z, "h_s_mean.enter", 3))
    for i in range((config.z_stride // 16).bit_length() - 1):
        h = ops.act(ops.up(ops.conv(h, f"h_s_mean.up.{i}")))
    features = ops.mul(ops.add(_separable(ops, h, "h_s_mean.mix"), h), rate)
    first, *others = (ops.conv(features, f"context.from_hyper.{step}") for step in range(STEPS))
    return [ops.act(first), *others]


def _separable(ops: Ops[T], x: T, name: str) -> T:
    return ops.act(
        ops.conv(ops.act(ops.conv(x, f"{name}.depthwise", 3, depthwise=True)), f"{name}.pointwise")
    )


def _first_mean(ops: Ops[T], features: T) -> list[T]:
    return [ops.matmul(ops.parities(features), "context.leave.0")]


def _mean(step: int) -> Graph:
    """Return the graph of a step's means from the earlier steps, [4, step * M/4, n], and hyper features.

    The features have even height and width.
    """

    def compute(ops: Ops[T], features: T, inside: T, known: T, grid: T) -> list[T]:
        seen = ops.interleave(ops.matmul(known, f"context.from_latent.{step - 1}", bias=False), grid)
        # Zero outside the tile; the bias would make it non-zero.
        h = ops.mul(ops.act(ops.add(seen, features)), inside)
        h = _separable(ops, h, f"context.mix.{step - 1}")
        return [ops.matmul(ops.parities(h), f"context.leave.{step}")]

    return Graph({"features": 4, "inside": 4, "known": 3, "grid": 1}, compute)


def _scale(ops: Ops[T], layers: Sequence[ScaleLayer], z: T, insides: Sequence[T]) -> list[T]:
    """The integer scale network; outputs the input of its last layer and 16 x the scale indices [4, M, n]."""
    x, size = z, 0
    for i, layer in enumerate(layers[:-1]):
        x = _integer(ops, ops.conv(x, f"scale.{i}", layer.kernel), layer)
        if layer.shuffle:
            x, size = ops.up(x), size + 1
        x = ops.mul(x, insides[size])
    sixteenths = ops.matmul(ops.parities(x), f"scale.{len(layers) - 1}")
    return [x, ops.floor(sixteenths, 2.0 ** -layers[-1].shift)]


def _integer(ops: Ops[T], total: T, layer: ScaleLayer) -> T:
    return ops.clamp(ops.floor(total, 2.0**-layer.shift), 0, ACTIVATION_MAX)


def _scale_context(step: int, layers: Sequence[ScaleLayer]) -> Graph:
    """Return the graph of what earlier residuals add to 16 x the scale indices of a step.

    Its input `codes` [4, step * M/4, n] are the magnitude codes of those residuals.
    """
    name = f"scale.context.{step - 1}"

    def compute(ops: Ops[T], hidden: T, inside: T, codes: T, grid: T) -> list[T]:
        seen = ops.interleave(ops.matmul(codes, f"{name}.codes", bias=False), grid)
        x = _integer(ops, ops.add(ops.conv(hidden, f"{name}.0"), seen), layers[0])
        x = ops.mul(x, inside)
        for i, layer in enumerate(layers[1:-1], start=1):
            x = ops.mul(_integer(ops, ops.conv(x, f"{name}.{i}", layer.kernel), layer), inside)
        sixteenths = ops.matmul(ops.parities(x), f"{name}.{len(layers) - 1}")
        return [ops.floor(sixteenths, 2.0 ** -layers[-1].shift)]

    return Graph({"hidden": 4, "inside": 4, "codes": 3, "grid": 1}, compute)
