"""Measure g_s in lower precision: the error of its samples, and its time, compared with float32.

    python -m benchmarks.studies.precision FOLDER OUT.json

Uses the first tile of four of the folder's PNGs at three rates, onnxruntime and torch, and one thread. torch
runs bfloat16, onnxruntime float16 and int8: int8 in all convolutions or only in the residual blocks, with
ranges from the current batch (dynamic) or from the photo in tests/assets (static), and one scale per output
channel. Times are CPU times of the fastest of several alternating rounds, relative to float32 by onnxruntime.
Needs torch and onnx.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16
from PIL import Image

from benchmarks.common import PHOTO, usual
from benchmarks.studies.onnx_graph import runs, shipped, whole_graph
from codec.bench.results import machine, versions
from codec.bitstream.geometry import LATENT_STRIDE, tile_grid
from codec.encode.tile_coder import tile_symbols
from codec.inference.graphs import Architecture, graphs
from codec.inference.torch_backend import TorchOps
from codec.inference.weights import LoadedModel, load_model
from codec.model.index import default_model_id
from codec.tiles.quantise import dequantise_tile
from codec.tiles.transforms import Block, synthesise, to_samples

PICTURES, ROUNDS = 4, usual(5, small=1)
RATE_INDICES = usual((1024, 1664, 2304), small=(1664,))
BLOCKS = ("g_s.blocks8", "g_s.blocks16")
TRUNK = (*BLOCKS, "g_s.in8", "g_s.in16", "g_s.out")
WANTED = 0.9999

Inputs = dict[str, NDArray[Any]]
Run = Callable[[Inputs], NDArray[np.float32]]


class Noting:
    """Run graphs and record their inputs."""

    def __init__(self, runner: Any) -> None:
        self.name, self.device = runner.name, runner.device
        self._run = runner.run
        self.inputs: list[Inputs] = []

    def run(self, graph: str, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Compute a graph."""
        self.inputs.append(inputs)
        found: list[NDArray[np.float32]] = self._run(graph, inputs)
        return found


def synthesis_inputs(model: LoadedModel, path: Path) -> list[Inputs]:
    """Return the inputs of g_s for the first tile of a picture, by rate."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    tile = tile_grid(pixels.shape[1], pixels.shape[0], 512)[0]
    noting = Noting(model.runner)
    for rate_index in RATE_INDICES:
        y_hat = dequantise_tile(model, tile_symbols(model, pixels, tile, rate_index), rate_index)
        block = Block(0, 0, -(-tile.height // LATENT_STRIDE), -(-tile.width // LATENT_STRIDE))
        synthesise(dataclasses.replace(model, runner=noting), y_hat, block, rate_index)
    return noting.inputs


class MixedOps(TorchOps):
    """Run convolutions in the type of their weights, and the lapped filter, a small part, in float32."""

    def conv(self, x: torch.Tensor, name: str, *how: Any, **more: Any) -> torch.Tensor:
        """As TorchOps.conv."""
        return super().conv(x.to(self._weights[f"{name}.weight"].dtype), name, *how, **more)

    def pixels(self, x: torch.Tensor) -> torch.Tensor:
        """As TorchOps.pixels."""
        return super().pixels(x.float())


def by_torch(arch: Architecture, weights: dict[str, NDArray[np.float32]], low: tuple[str, ...]) -> Run:
    """Return g_s by torch, with the weights whose names start with one of `low` in bfloat16."""
    held = {}
    for name, value in weights.items():
        tensor = torch.tensor(value, dtype=torch.bfloat16 if name.startswith(low) else torch.float32)
        held[name] = tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
    graph, ops = graphs(arch)["synthesis"], MixedOps(held)

    def run(inputs: Inputs) -> NDArray[np.float32]:
        with torch.inference_mode():
            tensors = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in graph.inputs]
            whole = [t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in tensors]
            return graph.compute(ops, *whole)[0].float().numpy()

    return run


class Reader(CalibrationDataReader):
    """Provide the calibration inputs one by one."""

    def __init__(self, inputs: list[Inputs]) -> None:
        self._left: Iterator[Inputs] = iter(inputs)

    def get_next(self) -> Inputs | None:
        """Return the next inputs, or None."""
        return next(self._left, None)


def in_int8(model: onnx.ModelProto, which: list[str], calibration: list[Inputs] | None) -> onnx.ModelProto:
    """Return a graph whose convolutions in `which` use int8; dynamic ranges without calibration."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = (os.path.join(folder, name) for name in ("a.onnx", "b.onnx"))
        onnx.save(model, source)
        how: dict[str, Any] = {"op_types_to_quantize": ["Conv"], "nodes_to_quantize": which}
        if calibration is None:
            quantize_dynamic(source, target, weight_type=QuantType.QUInt8, **how)
        else:
            quantize_static(
                source,
                target,
                Reader(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                **how,
            )
        return onnx.load(target)


def variants(calibration: list[Inputs]) -> dict[str, Run]:
    """Return all variants of g_s, by name; the first is the reference."""
    arch, weights = shipped()
    graph = whole_graph("synthesis", arch, weights)
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    blocks = [name for name in convolutions if name.startswith(BLOCKS)]
    return {
        "onnxruntime, float32": runs(graph),
        "onnxruntime, float16": runs(convert_float_to_float16(graph, keep_io_types=True)),
        "onnxruntime, int8 static, all": runs(in_int8(graph, convolutions, calibration)),
        "onnxruntime, int8 static, blocks": runs(in_int8(graph, blocks, calibration)),
        "onnxruntime, int8 dynamic, all": runs(in_int8(graph, convolutions, None)),
        "onnxruntime, int8 dynamic, blocks": runs(in_int8(graph, blocks, None)),
        "torch, float32": by_torch(arch, weights, ()),
        "torch, bfloat16, all": by_torch(arch, weights, ("g_s.",)),
        "torch, bfloat16, all but the linear way": by_torch(arch, weights, TRUNK),
        "torch, bfloat16, blocks": by_torch(arch, weights, BLOCKS),
    }


def compare(ways: dict[str, Run], inputs: list[Inputs]) -> dict[str, dict[str, float]]:
    """Return the error and the time of each variant relative to the first."""
    reference = next(iter(ways))
    rows: dict[str, dict[str, float]] = {}
    exact = [to_samples(ways[reference](one)).astype(np.int16) for one in inputs]
    for name, run in ways.items():
        off = [np.abs(to_samples(run(one)) - whole) for one, whole in zip(inputs, exact, strict=True)]
        rows[name] = {
            "equal": float(np.mean([(part == 0).mean() for part in off])),
            "within_one_level": float(np.mean([(part <= 1).mean() for part in off])),
            "most": int(max(part.max() for part in off)),
        }
        for i, rate_index in enumerate(RATE_INDICES):
            part = off[i :: len(RATE_INDICES)]
            rows[name][f"within_one_level_at_{rate_index}"] = float(np.mean([(p <= 1).mean() for p in part]))
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, run in ways.items():
            start = time.process_time()
            for one in inputs:
                run(one)
            least[name] = min(least[name], time.process_time() - start)
    for name, row in rows.items():
        row["times"] = least[name] / least[reference]
    return rows


def markdown(rows: dict[str, dict[str, float]]) -> str:
    """Return a table, and the names of the rows that are good enough."""
    lines = [
        "| g_s by | equal | within one level | at the worst rate | largest difference | CPU time |",
        "|---" * 6 + "|",
    ]
    good = []
    for name, row in rows.items():
        worst = min(row[f"within_one_level_at_{rate_index}"] for rate_index in RATE_INDICES)
        if row["most"] and worst >= WANTED:
            good.append(f"{name} ({row['times']:.2f}x)")
        lines.append(
            f"| {name} | {100 * row['equal']:.2f} % | {100 * row['within_one_level']:.4f} % | "
            f"{100 * worst:.4f} % | {row['most']} | {row['times']:.2f}x |"
        )
    return "\n".join(lines) + f"\n\nWithin one level on {100 * WANTED} % at every rate: {'; '.join(good)}.\n"


def main(folder: Path, out: Path) -> None:
    """Measure, print and write the result."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    model = load_model(default_model_id())
    calibration = synthesis_inputs(model, PHOTO)
    inputs = [
        one for path in sorted(folder.glob("*.png"))[:PICTURES] for one in synthesis_inputs(model, path)
    ]
    rows = compare(variants(calibration), inputs)
    result = {
        "machine": machine(),
        "versions": versions(),
        "load": os.getloadavg()[0],
        "model": default_model_id().hex(),
        "rates": RATE_INDICES,
        "rows": rows,
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
