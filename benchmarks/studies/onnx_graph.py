"""Build the shipped model's graphs with their weights inside, and run them on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from codec.inference.graphs import Architecture, graphs
from codec.inference.onnx_backend import onnxruntime, unpack_graph
from codec.inference.onnx_export import serialise
from codec.inference.weights import architecture, folded_weights, read_verified
from codec.model.index import default_model_id, model_entry

Weights = dict[str, NDArray[Any]]


def shipped() -> tuple[Architecture, Weights]:
    """Return the shipped model's architecture and the weights of its graphs."""
    arrays, meta = read_verified(model_entry(default_model_id()))
    arch = architecture(meta)
    return arch, folded_weights(arch, arrays)


def whole_graph(name: str, arch: Architecture, weights: Weights) -> onnx.ModelProto:
    """Return a graph with its weights inside and its convolutions named after them."""
    model = onnx.load_from_string(unpack_graph(serialise(name, graphs(arch)[name], weights))[1])
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    for node in model.graph.node:
        node.name = node.input[1] if node.op_type == "Conv" else node.output[0]
    return model


def runs(model: onnx.ModelProto) -> Callable[[Weights], NDArray[Any]]:
    """Return a function that computes a graph's first output by onnxruntime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda inputs: session.run(None, inputs)[0]
