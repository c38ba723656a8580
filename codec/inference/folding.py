"""Convert the tensors of a weights file to the weights of the graphs: folded, permuted, float32.

Pairs of linear layers become one. Channels that enter or leave a pixel shuffle are ordered by position.
Layers that output or read the latents of a coding step hold only the channels of that step, separately for
each position of a 2x2 square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.entropy.steps import STEPS, channels
from codec.errors import WeightsError
from codec.model.config import COLOURS, PATCH, ScaleLayer

Arrays = Mapping[str, NDArray[Any]]
Weights = dict[str, NDArray[np.float32]]

# Prefix of the float networks in a weights file.
NETWORK = "network."
# Factor from the unit of the networks to levels.
SAMPLE_MAX = np.float32(255)


def float_weights(arrays: Arrays) -> Weights:
    """Return the folded weights of the float networks. arrays: those of the weights file."""
    w: Weights = {
        name.removeprefix(NETWORK): value.astype(np.float32)
        for name, value in arrays.items()
        if name.startswith(NETWORK)
    }
    _fold_analysis(w)
    _fold_synthesis(w)
    for name in [name for name in w if name.startswith("h_s_mean.up.")]:
        w[name] = w[name][_after_shuffle(len(w[name]))]
    for name in [name for name in w if name.startswith("h_a.down.") and name.endswith("weight")]:
        w[name] = w[name][:, _after_shuffle(w[name].shape[1])]
    _cut_context(w)
    w |= _filters(w.pop("g_a.lap.matrix"), w.pop("g_s.unlap.matrix"))
    return {name: np.ascontiguousarray(value, np.float32) for name, value in w.items()}


def scale_weights(layers: Sequence[ScaleLayer], context: Sequence[ScaleLayer], arrays: Arrays) -> Weights:
    """Return the weights of the integer scale network, integers held in float32.

    layers, context: of the network and of its context. Raises WeightsError for unsupported kernel sizes.
    """
    if context[0].kernel != 1 or context[-1].kernel != 1 or layers[-1].kernel != 1 or len(layers) < 2:
        raise WeightsError("the outermost layers of the scale network must be 1x1; export the model again")
    w: Weights = {}
    last = len(layers) - 1
    for i, layer in enumerate(layers):
        for part in ("weight", "bias"):
            value = arrays[f"scale.{i}.{part}"].astype(np.float32)
            w[f"scale.{i}.{part}"] = value[_after_shuffle(len(value))] if layer.shuffle else value
    weight, bias = w[f"scale.{last}.weight"], w[f"scale.{last}.bias"]
    steps = [_leaving(weight, bias, step) for step in range(STEPS)]
    w[f"scale.{last}.weight"], w[f"scale.{last}.bias"] = (
        np.concatenate(part, 1) for part in zip(*steps, strict=True)
    )
    for step in range(1, STEPS):
        w |= _scale_context(step, len(context), layers[-1].out, arrays)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in w.items()}


def _scale_context(step: int, count: int, m: int, arrays: Arrays) -> Weights:
    name = f"scale.context.{step - 1}"
    w: Weights = {
        f"{name}.{i}.{part}": arrays[f"{name}.{i}.{part}"].astype(np.float32)
        for i in range(count)
        for part in ("weight", "bias")
    }
    first, last = f"{name}.0.weight", f"{name}.{count - 1}"
    w[f"{name}.codes.weight"] = _entering(w[first][:, :m], step)
    w[first] = w[first][:, m:]
    w[f"{last}.weight"], w[f"{last}.bias"] = _leaving(w[f"{last}.weight"], w[f"{last}.bias"], step)
    return w


def _after_shuffle(count: int, factor: int = 2) -> NDArray[np.intp]:
    """Return the permutation that orders the channels of a pixel shuffle by position."""
    return np.arange(count).reshape(-1, factor * factor).T.ravel()


def _entering(weight: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Convert a 1x1 convolution over latents, [O, M, 1, 1], to [4, O, steps * Q] for the first steps."""
    out, m = weight.shape[:2]
    quarter = -(-m // STEPS)
    found = np.zeros((STEPS, out, steps, quarter), np.float32)
    for position in range(STEPS):
        for step in range(steps):
            chosen = channels(m, step, position)
            found[position, :, step, : chosen.size] = weight[:, chosen, 0, 0]
    return found.reshape(STEPS, out, -1)


def _leaving(
    weight: NDArray[np.float32], bias: NDArray[np.float32], step: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Convert a 1x1 convolution to latents, [M, I, 1, 1] and [M], to one step's [4, Q, I] and [4, Q, 1]."""
    m, inputs = weight.shape[:2]
    quarter = -(-m // STEPS)
    found, offset = np.zeros((STEPS, quarter, inputs), np.float32), np.zeros((STEPS, quarter, 1), np.float32)
    for position in range(STEPS):
        chosen = channels(m, step, position)
        found[position, : chosen.size] = weight[chosen, :, 0, 0]
        offset[position, : chosen.size, 0] = bias[chosen]
    return found, offset


def _cut_context(w: Weights) -> None:
    for step in range(STEPS):
        name = f"context.leave.{step}"
        w[f"{name}.weight"], w[f"{name}.bias"] = _leaving(w[f"{name}.weight"], w[f"{name}.bias"], step)
        if step:
            name = f"context.from_latent.{step - 1}.weight"
            w[name] = _entering(w[name], step)


def _patch_order() -> NDArray[np.intp]:
    """Return the permutation from channels ordered (c, dy, dx) to channels (8 dy + dx) 3 + c."""
    return np.arange(COLOURS * PATCH * PATCH).reshape(COLOURS, -1).T.ravel()


def _fold_analysis(w: Weights) -> None:
    """Fold the patch layer, which is linear, into the two layers that read its output."""
    patch = w.pop("g_a.patch.weight").reshape(COLOURS * PATCH * PATCH, -1)[:, _patch_order()]
    w["g_a.in8.weight"] = (w["g_a.in8.weight"][:, :, 0, 0] @ patch)[:, :, None, None]
    # [M, 192 * 4]: the four patches are the inner index.
    linear = w["g_a.linear.weight"][:, :, 0, 0]
    linear = linear.reshape(len(linear), -1, 4).transpose(0, 2, 1) @ patch
    w["g_a.linear.weight"] = linear.reshape(len(linear), -1, 1, 1)
    w["g_a.in16.weight"] = w["g_a.in16.weight"][:, _after_shuffle(w["g_a.in16.weight"].shape[1])]


def _fold_synthesis(w: Weights) -> None:
    """Fold the unpatch layer into the two layers before it; the output becomes levels, 0..255."""
    unpatch: NDArray[np.float32] = SAMPLE_MAX * w.pop("g_s.unpatch.weight")[:, :, 0, 0][_patch_order()]
    w["g_s.out.weight"] = (unpatch @ w["g_s.out.weight"][:, :, 0, 0])[:, :, None, None]
    # The lapped filter preserves constants, so mid-gray can be added before it.
    w["g_s.out.bias"] = unpatch @ w["g_s.out.bias"] + np.float32(SAMPLE_MAX / 2)
    linear = w["g_s.linear.weight"][:, :, 0, 0]
    linear = linear.reshape(-1, 4, linear.shape[1]).transpose(1, 0, 2)
    w["g_s.linear.weight"] = (unpatch @ linear).reshape(-1, linear.shape[2], 1, 1)
    for part in ("weight", "bias"):
        name = f"g_s.in8.{part}"
        w[name] = w[name][_after_shuffle(len(w[name]))]


def _filters(lap: NDArray[np.float32], unlap: NDArray[np.float32]) -> Weights:
    """Return the lapped filters: left factors for columns [16, 16], right factors for rows [48, 48]."""
    colours = np.eye(COLOURS, dtype=np.float32)
    return {
        "lap.columns": lap,
        "unlap.columns": unlap,
        "lap.rows": np.kron(lap.T, colours),
        "unlap.rows": np.kron(unlap.T, colours),
    }
