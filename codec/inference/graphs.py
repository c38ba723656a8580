"""The graphs of the networks, as functions over the operators that a backend provides.

Residual blocks, separable convolutions and integer layers are those of codec.model; weights are folded and
permuted (folding.py), positions are cut as soon as nothing needs them, and what a coding step does not code
is not computed. Latents of one step are [4, M/4, n]: the four positions of each 2x2, each with its own
quarter of the channels (codec.entropy.steps).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from codec.entropy.steps import STEPS
from codec.model.config import ModelConfig, ScaleLayer

T = TypeVar("T")


class Ops(Protocol[T]):
    """Operations on T, planes [1, C, h, w] unless said otherwise; weights go by their names.

    Results of conv and of matmul belong to the graph alone: act, add, mul, floor and clamp may overwrite
    their first argument.
    """

    def conv(self, x: T, name: str, kernel: int = 1, *, depthwise: bool = False, bias: bool = True) -> T:
        """Convolve with `name.weight`, add `name.bias`; zeros outside, stride 1."""

    def matmul(self, x: T, name: str, *, bias: bool = True) -> T:
        """Multiply x [4, I, n] by `name.weight` [4, O, I] from the left, add `name.bias` [4, O, 1]."""

    def act(self, x: T) -> T:
        """Leaky ReLU."""

    def add(self, x: T, y: T) -> T:
        """x + y."""

    def mul(self, x: T, y: T) -> T:
        """x * y; y may have 1 for C, or for h and w."""

    def floor(self, x: T, factor: float) -> T:
        """Round x * factor down."""

    def clamp(self, x: T, low: float, high: float) -> T:
        """Clamp to low..high."""

    def crop(self, x: T, box: T) -> T:
        """Cut out rows and columns; box: int64 [4]: top, left, bottom, right."""

    def up(self, x: T) -> T:
        """[1, 4C, h, w] -> [1, C, 2h, 2w]; channel (2 dy + dx) C + c is c at (dy, dx)."""

    def down(self, x: T) -> T:
        """Undo `up`."""

    def parities(self, x: T) -> T:
        """[1, C, 2h, 2w] -> [4, C, h w]: the positions (dy, dx) of each 2x2, by 2 dy + dx."""

    def interleave(self, x: T, grid: T) -> T:
        """Undo `parities`; grid: int64 [1, -1, h, w]."""

    def patches(self, x: T) -> T:
        """Samples [16h, 48w], rows of pixels of 3 channels -> [1, 192, 2h, 2w], (8 dy + dx) 3 + c."""

    def pixels(self, x: T) -> T:
        """Undo `patches`."""

    def filter_columns(self, x: T, name: str, both: T | None) -> T:
        """Multiply by `name` [16, 16] each 16 samples around a boundary, x [16h, 48w].

        both: float [h + 1, 1, 48w], 0 where the filter does nothing, at the ends too; None: only there.
        """

    def filter_rows(self, x: T, name: str, both: T | None) -> T:
        """The same along rows, by `name` [48, 48] from the right; both: float [16h, w + 1, 1]."""


ACTIVATION_MAX = 255


@dataclasses.dataclass(frozen=True)
class Architecture:
    """All that the graphs depend on but weights."""

    config: ModelConfig
    scale_layers: tuple[ScaleLayer, ...]
    context_layers: tuple[ScaleLayer, ...]


@dataclasses.dataclass(frozen=True)
class Graph:
    """A graph: the ranks of its inputs, by name (those in INTEGERS are int64), and what computes it."""

    inputs: dict[str, int]
    compute: Callable[..., Sequence[Any]]


INTEGERS = frozenset({"keep8", "keep16", "grid"})


def graphs(arch: Architecture) -> dict[str, Graph]:
    """Return all graphs of an architecture by name."""
    config = arch.config
    gaps = {"at8": 4, "at16": 4, "rows": 3, "columns": 3}
    analysis = {"x": 2, "keep16": 1, "keep8": 1}
    synthesis = {"y_hat": 4, "rate16": 4, "rate8": 4, "keep16": 1, "keep8": 1}
    shuffles = sum(layer.shuffle for layer in arch.scale_layers)
    insides = {f"inside{i}": 4 for i in range(shuffles + 1)}
    found = {
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
        found[f"mean{step}"] = _mean(step)
        found[f"scale{step}"] = _scale_context(step, arch.context_layers)
    return found


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
    """g_a. x: samples - 0.5. keep8: what of 1/8 is kept for 1/16; keep16: what of that is the result."""
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
    """g_s, in levels. keep16: what of 1/16 is kept for 1/8; keep8: what of that becomes pixels."""
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
    """h_a from sign(y) log(1 + abs(y)) on."""
    h = ops.act(ops.conv(y, "h_a.enter"))
    for i in range((config.z_stride // 16).bit_length() - 1):
        h = ops.act(ops.conv(ops.down(h), f"h_a.down.{i}"))
    return [ops.conv(ops.act(ops.conv(h, "h_a.mix", 3)), "h_a.leave")]


def _hyper_mean(ops: Ops[T], config: ModelConfig, z: T, rate: T) -> list[T]:
    """h_s_mean, and what each step's context makes of it first."""
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
    """Means of a step from all steps before, [4, step * M/4, n], and hyper features of even size."""

    def compute(ops: Ops[T], features: T, inside: T, known: T, grid: T) -> list[T]:
        seen = ops.interleave(ops.matmul(known, f"context.from_latent.{step - 1}", bias=False), grid)
        # Beyond the tile there is nothing, not even a bias.
        h = ops.mul(ops.act(ops.add(seen, features)), inside)
        h = _separable(ops, h, f"context.mix.{step - 1}")
        return [ops.matmul(ops.parities(h), f"context.leave.{step}")]

    return Graph({"features": 4, "inside": 4, "known": 3, "grid": 1}, compute)


def _scale(ops: Ops[T], layers: Sequence[ScaleLayer], z: T, insides: Sequence[T]) -> list[T]:
    """The integer scale network: the input of its last layer, and 16 times the scale indices [4, M, n]."""
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
    """What the residuals of all steps before, as codes [4, step * M/4, n], add to a step's sixteenths."""
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
