"""Compute graphs with onnxruntime, on one core for each calling thread.

Telemetry is switched off. From version 1.29 on the wheels of onnxruntime send telemetry unless the
environment variable OPT_OUT is set when the library is first loaded: they store an identifier of the machine
and a database below the user's cache folder, and connect to a collector. Earlier wheels for Linux and macOS
have no telemetry. Those for Windows pass events to the system's tracing; they ignore the variable and need
the call. If the user has set the variable, or onnxruntime was loaded before this module, nothing is changed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codec.inference.backends import CPU

if TYPE_CHECKING:
    from codec.inference.backends import Inputs

OPT_OUT = "ORT_DISABLE_TELEMETRY"

_OURS = not os.environ.get(OPT_OUT) and "onnxruntime" not in sys.modules
if _OURS:
    os.environ[OPT_OUT] = "1"

import onnxruntime  # noqa: E402

if _OURS:
    onnxruntime.disable_telemetry_events()

# Log errors only: the warnings of onnxruntime do not help a user who decodes a picture.
LOG_ERRORS = 3


class OnnxRunner:
    """Run exported graphs. Threads may share it; the session of a graph is created at its first use.

    graphs: by name, as onnx_export.serialise returns them. weights: by the names in the graphs.
    """

    name, device = "onnx", CPU

    def __init__(self, graphs: Mapping[str, bytes], weights: Mapping[str, NDArray[np.float32]]) -> None:
        self._graphs = graphs
        self._weights = weights
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self._lock = threading.Lock()

    def run(self, graph: str, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Compute a graph."""
        session = self._sessions.get(graph)
        if session is None:
            with self._lock:
                session = self._sessions.get(graph) or self._prepare(graph)
                self._sessions[graph] = session
        outputs: list[NDArray[np.float32]] = session.run(
            None, {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        )
        return outputs

    def _prepare(self, graph: str) -> onnxruntime.InferenceSession:
        names, serialised = unpack_graph(self._graphs[graph])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = LOG_ERRORS
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(self._weights[name]) for name in names]
        if names:
            options.add_external_initializers(names, values)
        return onnxruntime.InferenceSession(serialised, options, providers=["CPUExecutionProvider"])


def unpack_graph(stored: bytes) -> tuple[list[str], bytes]:
    """Split a stored graph into the names of its weights (the first line) and the serialised ONNX model."""
    line, _, serialised = stored.partition(b"\n")
    return line.decode("ascii").split(), serialised
