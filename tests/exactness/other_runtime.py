"""Decode by OpenVINO, which the package does not use, and compare; run by hand before a release.

    python tests/exactness/other_runtime.py > RESULT.json

Decodes the files of processors.py by OpenVINO, on all cores with its default settings and in float32, and by
onnxruntime. Symbols must be identical; samples may differ by one level. Needs: pip install openvino onnx.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from processors import ROOT, compared, files_to_decode, symbol_hash

sys.path.insert(0, str(ROOT))

import codec.decode.decoder
from benchmarks.studies.onnx_graph import whole_graph
from codec.inference.graphs import Architecture
from codec.inference.weights import LoadedModel, build, load_model, read_verified
from codec.model.index import model_entry


class OpenVinoRunner:
    """Compute graphs by OpenVINO."""

    name, device = "openvino", "cpu"

    def __init__(self, arch: Architecture, weights: dict[str, NDArray[np.float32]]) -> None:
        self._arch, self._weights = arch, weights
        self._compiled: dict[str, openvino.CompiledModel] = {}

    def _compile(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> openvino.CompiledModel:
        model = whole_graph(graph, self._arch, self._weights)
        for declared in model.graph.input:
            if inputs[declared.name].ndim == 1:
                # OpenVINO needs the number of dimensions of a new shape.
                declared.type.tensor_type.shape.dim[0].dim_value = inputs[declared.name].size
        core = openvino.Core()
        options = {"INFERENCE_PRECISION_HINT": "f32"}
        return core.compile_model(core.read_model(model.SerializeToString()), "CPU", options)

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Compute a graph."""
        if graph not in self._compiled:
            self._compiled[graph] = self._compile(graph, inputs)
        given = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        found = self._compiled[graph](given)
        return [np.array(found[index]) for index in range(len(found))]


@functools.cache
def by_openvino(model_id: bytes, _device: str = "cpu") -> LoadedModel:
    """Load a model and check its known answer."""
    return build(model_id, *read_verified(model_entry(model_id)), OpenVinoRunner)


def all_of(files: list[Path]) -> tuple[dict[str, str], dict[str, NDArray[np.uint8]]]:
    """Return hashes of symbols, and samples, by file name."""
    loaded = codec.decode.decoder.load_model
    symbols = {file.stem: symbol_hash(file.read_bytes(), loaded) for file in files}
    decoder = codec.decode.decoder.Decoder(threads=1)
    return symbols, {file.stem: np.asarray(decoder.decode(file.read_bytes())) for file in files}


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        files = files_to_decode(Path(name))
        symbols, samples = all_of(files)
        codec.decode.decoder.load_model = by_openvino
        other_symbols, other_samples = all_of(files)
        codec.decode.decoder.load_model = load_model
    found = compared(symbols, other_symbols, samples, other_samples)
    print(json.dumps({"openvino": openvino.__version__, **found}, indent=1))
    return int(found["files_with_the_same_symbols"] < len(files) or found["largest_difference"] > 1)


if __name__ == "__main__":
    sys.exit(main())
