"""Load models: read weights files, verify them, and build the networks and the coder."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from codec.entropy.coder import TileCoder
from codec.entropy.detail_coder import DetailCoder
from codec.entropy.detail_context import PREFIX, DetailTables
from codec.entropy.tables import EntropyTables
from codec.errors import CodecError, WeightsError
from codec.inference.backends import CPU, Runner, choose_backend
from codec.inference.folding import NETWORK, Weights, float_weights, scale_weights
from codec.inference.graphs import Architecture
from codec.inference.scale_network import ScaleNetwork
from codec.model.config import ModelConfig, ScaleLayer, check_shapes
from codec.model.index import ModelEntry, model_entry, weights_folder

Arrays = Mapping[str, NDArray[Any]]
MakeRunner = Callable[[Architecture, Weights], Runner]


@dataclasses.dataclass(frozen=True, eq=False)
class LoadedModel:
    """A loaded model: everything that encoding and decoding need. Read-only; threads may share it.

    Attributes:
        model_id: the 4 bytes in files that name the model.
        config: sizes of the networks.
        arrays: parameters of the float networks, float32, by their names in the weights file without
            `network.`.
        runner: computes the graphs.
        scale: integer scale network that has passed its known-answer test.
        coder: range coder over the stored tables.
        detail: coder of the detail layer; None for a model without one.
    """

    model_id: bytes
    config: ModelConfig
    arrays: Arrays
    runner: Runner
    scale: ScaleNetwork
    coder: TileCoder
    detail: DetailCoder | None = None


def read_verified(entry: ModelEntry) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a weights file, check its sha256, and return its arrays and metadata. Raises WeightsError."""
    path = weights_folder() / entry.file
    data = _read_checked(path, entry.sha256)
    try:
        return load(data), _metadata(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); reinstall vaezip") from error


def _read_checked(path: Path, sha256: str) -> bytes:
    """Read a file once and check its sha256, so that the bytes parsed are the bytes checked."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error}); reinstall vaezip") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WeightsError(f"{path}: sha256 differs from the index; reinstall vaezip")
    return data


def _metadata(data: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file; its library returns them only when it opens the file."""
    size = int.from_bytes(data[:8], "little")
    metadata: dict[str, str] = json.loads(data[8 : 8 + size])["__metadata__"]
    return metadata


def architecture(meta: Mapping[str, str]) -> Architecture:
    """Return the architecture in the metadata of a weights file."""
    layers, context = (
        tuple(ScaleLayer(**layer) for layer in json.loads(meta[name]))
        for name in ("scale_layers", "context_layers")
    )
    return Architecture(ModelConfig.from_json(meta["config"]), layers, context)


def folded_weights(arch: Architecture, arrays: Arrays) -> Weights:
    """Return the weights of all graphs. arrays: those of the weights file."""
    return float_weights(arrays) | scale_weights(arch.scale_layers, arch.context_layers, arrays)


def torch_runner(arch: Architecture, weights: Weights, device: str = CPU) -> Runner:
    """Return a runner that computes with torch."""
    from codec.inference.torch_backend import TorchRunner

    return TorchRunner(arch, weights, device)


def build(
    model_id: bytes, arrays: Arrays, meta: Mapping[str, str], make_runner: MakeRunner = torch_runner
) -> LoadedModel:
    """Build a model from the arrays and metadata of a weights file.

    make_runner: returns the runner of an architecture and its folded weights.
    Raises WeightsError if they do not fit this release, or BackendMismatch if the known-answer test fails.
    """
    floats = {
        name.removeprefix(NETWORK): np.asarray(value, np.float32)
        for name, value in arrays.items()
        if name.startswith(NETWORK)
    }
    try:
        arch = architecture(meta)
        check_shapes(arch.config, floats)
        runner = make_runner(arch, folded_weights(arch, arrays))
        # Float32 sums of integers are exact on the CPU; no GPU library guarantees that.
        exact = runner if runner.device == CPU else torch_runner(arch, _scale_only(arch, arrays))
        scale = ScaleNetwork(arch.scale_layers, arch.context_layers, arch.config.z_stride, arrays, exact)
        scale.verify(np.asarray(arrays["scale.kat_z"], np.int16), int(arrays["scale.kat_crc"][0]))
    except CodecError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise WeightsError(f"weights of model {model_id.hex()} do not fit this release: {error}") from error
    has_detail = any(name.startswith(PREFIX) for name in arrays)
    detail = DetailCoder(DetailTables.from_arrays(arrays)) if has_detail else None
    coder = TileCoder(EntropyTables.from_arrays(arrays))
    return LoadedModel(model_id, arch.config, floats, runner, scale, coder, detail)


def _scale_only(arch: Architecture, arrays: Arrays) -> Weights:
    return scale_weights(arch.scale_layers, arch.context_layers, arrays)


def onnx_runner(entry: ModelEntry) -> MakeRunner:
    """Return a function that makes a runner of a model's exported graphs. Raises WeightsError.

    The graphs are read and checked here; onnxruntime is imported when the runner is made.
    """
    if entry.graphs is None:
        raise WeightsError(
            f"model {entry.model_id.hex()} was exported without graphs for onnxruntime; set "
            "VAEZIP_BACKEND=torch, or export the model again"
        )
    file, sha256 = entry.graphs
    path = weights_folder() / file
    data = _read_checked(path, sha256)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        graphs = {name: archive.read(name) for name in archive.namelist()}

    def make(_: Architecture, weights: Weights) -> Runner:
        from codec.inference.onnx_backend import OnnxRunner

        return OnnxRunner(graphs, weights)

    return make


def load_model(model_id: bytes, device: str = CPU) -> LoadedModel:
    """Return the model with this 4-byte id, loaded once per process, backend and device.

    Raises UnknownModel, WeightsError, BackendMismatch, BackendMissing, or UsageError for a device that cannot
    be used.
    """
    return _load(model_id, choose_backend(device), device)


@functools.cache
def _load(model_id: bytes, backend: str, device: str) -> LoadedModel:
    entry = model_entry(model_id)
    make = onnx_runner(entry) if backend == "onnx" else functools.partial(torch_runner, device=device)
    return build(model_id, *read_verified(entry), make)
