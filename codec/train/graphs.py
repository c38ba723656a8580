"""The graphs for onnxruntime of exported weights: one file beside them, named in their index."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from codec.errors import TrainingError
from codec.model.index import INDEX, default_model_id, model_entry, select_folder
from codec.model.weights import architecture, folded_weights, read_verified

from .write_index import write_index

SUFFIX = ".graphs"


def export_graphs(folder: Path) -> Path:
    """Write the graphs of a weights folder's default model and note them in its index; returns their file.

    The same weights file gives the same bytes, with one version of the package `onnx`; the weights stay where
    they are. Raises TrainingError where `onnx` is not installed, WeightsError for unusable weights.
    """
    try:
        from codec.model.inference.onnx_export import export_graphs as serialise
    except ModuleNotFoundError as error:
        raise TrainingError("graphs need the package onnx: pip install 'vaezip[train]'") from error
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
