"""Export a training run: the weights file, the graphs for onnxruntime, and the index of both."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from codec.entropy.tables import Z_MAX
from codec.errors import TrainingError
from codec.inference.folding import NETWORK, scale_weights
from codec.inference.graphs import Architecture
from codec.inference.scale_network import TILE, ScaleNetwork
from codec.inference.torch_backend import TorchRunner
from codec.inference.weights import architecture, build, folded_weights, read_verified
from codec.model.index import INDEX, default_model_id, model_entry, select_folder, write_index
from codec.networks.integer_scales import FakeQuantisedConv
from codec.train.calibrate import TOP
from codec.train.checkpoint import AVERAGE, load_parameters, read_tensors
from codec.train.crops import CropSource
from codec.train.detail_tables import DETAIL_PICTURES, fit_detail
from codec.train.model import TrainModel
from codec.train.probability_tables import make_tables
from codec.train.settings import TrainOptions

# Suffix of a file of graphs.
SUFFIX = ".graphs"
# About the number of tiles that the probability tables are counted on.
TABLE_PICTURES = 160
# Stored in float32: in fp16 their rounding would shift flat areas by a tenth of a level.
WINDOWS = ("g_a.lap.matrix", "g_s.unlap.matrix")
INT16_MAX = np.iinfo(np.int16).max
ID_BYTES = 4
# Seed of the choice of pictures that the detail layer is fitted on.
DETAIL_SEED = 5


def export(run: Path, out: Path, name: str, detail_pictures: int = DETAIL_PICTURES) -> str:
    """Write `<name>-<id>.safetensors` and an index to folder `out`; return the model id as hex.

    run: folder of a finished run. detail_pictures: how many training tiles the tables of the detail layer are
    fitted on, some seconds each. Raises TrainingError.
    """
    model, options = averaged_model(run)
    crops = CropSource(run / "cache.npy", seed=options.seed, rank=0)
    stride = max(1, len(crops.train) // TABLE_PICTURES)
    tables = make_tables(model, crops.pictures(crops.train[::stride]))
    arrays: dict[str, NDArray[Any]] = {**scale_arrays(model), **tables.to_arrays()}
    for key, parameter in model.network.named_parameters():
        value = parameter.detach().contiguous()
        arrays[NETWORK + key] = (value if key in WINDOWS else value.half()).numpy()
    meta = {"config": model.config.to_json()}
    for key in ("scale_layers", "context_layers"):
        meta[key] = json.dumps([dataclasses.asdict(layer) for layer in getattr(model.config, key)])
    count = min(detail_pictures, len(crops.train))
    chosen = np.random.default_rng(DETAIL_SEED).choice(crops.train, count, replace=False)
    # The tables are of the weights as they are stored; the model has no id yet.
    stored = build(bytes(ID_BYTES), arrays, meta)
    arrays |= fit_detail(stored, (crops.tiles[index] for index in chosen)).to_arrays()
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f"{name}.part"
    save_file(arrays, partial, meta)
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    model_id = digest[: 2 * ID_BYTES]
    file = f"{name}-{model_id}.safetensors"
    os.replace(partial, out / file)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    entry = {
        "name": name,
        "file": file,
        "sha256": digest,
        "calibration": [[0, 0], [100, TOP]],
        "training": record,
    }
    write_index(out, {"default": model_id, "models": {model_id: entry}})
    return model_id


def export_graphs(folder: Path) -> Path:
    """Write the graphs of the default model of a weights folder, add them to its index, return their file.

    Equal weights give equal bytes with one version of the package `onnx`. The weights file is not changed.
    Raises TrainingError if `onnx` is not installed, WeightsError for invalid weights.
    """
    try:
        from codec.inference.onnx_export import export_graphs as serialise
    except ModuleNotFoundError as error:
        raise TrainingError("graphs need the package onnx; run: pip install 'vaezip[train]'") from error
    select_folder(folder)
    entry = model_entry(default_model_id())
    arrays, meta = read_verified(entry)
    arch = architecture(meta)
    data = serialise(arch, folded_weights(arch, arrays))
    target = folder / Path(entry.file).with_suffix(SUFFIX)
    partial = target.with_name(f"{target.name}.part")
    partial.write_bytes(data)
    os.replace(partial, target)
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    graphs = {"file": target.name, "sha256": hashlib.sha256(data).hexdigest()}
    index["models"][entry.model_id.hex()]["graphs"] = graphs
    write_index(folder, index)
    return target


def averaged_model(run: Path) -> tuple[TrainModel, TrainOptions]:
    """Load the averaged weights of a run, the float networks rounded to fp16. Raises TrainingError."""
    try:
        options = TrainOptions.from_json((run / "options.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(
            f"{run}: not a training run ({error}); give the folder that --out named"
        ) from error
    path = run / "checkpoint.safetensors"
    model = TrainModel(options.config)
    load_parameters(model, read_tensors(path)[0], AVERAGE, path)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.copy_(parameter.half().float())
    model.network.project_windows()
    return model.eval(), options


def scale_arrays(model: TrainModel) -> dict[str, NDArray[Any]]:
    """Return the integers of the scale network and its known-answer vector. Raises TrainingError."""
    arrays: dict[str, NDArray[Any]] = {}
    model.scale.enforce_bounds()
    for prefix, layers in model.scale.stacks().items():
        for index, layer in enumerate(layers):
            arrays |= _integers(f"{prefix}.{index}", layer)
    arrays["scale.offset"] = model.scale.offset_integers().detach().numpy().astype(np.int16)
    z = known_input(model.config.h, TILE // model.config.z_stride)
    config = model.config
    arch = Architecture(config, config.scale_layers, config.context_layers)
    runner = TorchRunner(arch, scale_weights(arch.scale_layers, arch.context_layers, arrays))
    network = ScaleNetwork(arch.scale_layers, arch.context_layers, config.z_stride, arrays, runner)
    arrays["scale.kat_z"] = z
    arrays["scale.kat_crc"] = np.array([network.known_answer(z)], np.int64)
    return arrays


def _integers(name: str, layer: FakeQuantisedConv) -> dict[str, NDArray[Any]]:
    weight, bias = (t.detach().numpy() for t in layer.integers())
    if np.abs(weight).max() > INT16_MAX:
        raise TrainingError(
            f"{name}: a weight of {np.abs(weight).max():.0f} does not fit int16; train longer"
        )
    return {f"{name}.weight": weight.astype(np.int16), f"{name}.bias": bias.astype(np.int32)}


def known_input(channels: int, side: int) -> NDArray[np.int16]:
    """Return the hyper-latents of the known-answer vector, int16 [channels, side, side].

    The upper half holds small values, as pictures have; the lower half the whole range; the last two rows the
    extremes.
    """
    rng = np.random.default_rng(0)
    z = rng.integers(-2, 3, (channels, side, side))
    z[:, side // 2 :] = rng.integers(-Z_MAX, Z_MAX + 1, (channels, side - side // 2, side))
    z[:, -2], z[:, -1] = Z_MAX, -Z_MAX
    return z.astype(np.int16)
