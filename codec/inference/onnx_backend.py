"""Graphs computed by onnxruntime, on one core for each calling thread.

From 1.29 on its wheels report to their maker unless OPT_OUT holds when the library is first loaded: they
keep an identifier of the machine and a database below the user's cache folder, and connect to a collector.
Earlier wheels for Linux and macOS have no telemetry; those for Windows hand events to the system's tracing,
which does not look at the variable and is stopped by the call. Where the user has set the variable, or
something else has loaded onnxruntime before, that choice stands.
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

import onnxruntime as onnxruntime  # noqa: E402

if _OURS:
    onnxruntime.disable_telemetry_events()

# Only errors: what else onnxruntime has to say is of no use to whoever decodes a picture.
LOG_ERRORS = 3


class OnnxRunner:
    """Runs exported graphs. Threads may share it; a graph is prepared at its first use.

    graphs: by name, serialised without weights. weights: all that the graphs name.
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
        found: list[NDArray[np.float32]] = session.run(
            None, {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        )
        return found

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
    """Split what the exporter wrote: one line with the names of weights, and the graph."""
    line, _, serialised = stored.partition(b"\n")
    return line.decode("ascii").split(), serialised
