"""Export graphs for onnxruntime without weights, which come from the weights file at load time.

Needs the package `onnx`; running the graphs does not.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from codec.inference.folding import Weights
from codec.inference.graphs import INTEGERS, Architecture, Graph, graphs
from codec.model.config import SLOPE

OPSET, IR_VERSION = 17, 8
# A fixed time stamp, the earliest of zip files, so that equal graphs give equal bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)
# Samples around a block boundary: of a column, and of a row with three channels.
WINDOW, ROW_WINDOW = 16, 48
# End of a slice that extends to the end of its axis.
END = 2**31 - 1


def export_graphs(arch: Architecture, weights: Weights) -> bytes:
    """Return all graphs as an uncompressed zip, one entry per name; equal input gives equal bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for name, graph in sorted(graphs(arch).items()):
            target.writestr(zipfile.ZipInfo(name, EPOCH), serialise(name, graph, weights))
    return archive.getvalue()


def serialise(name: str, graph: Graph, weights: Weights) -> bytes:
    """Return one line with the names of the weights of a graph, then the serialised ONNX model."""
    ops = OnnxOps(weights)
    outputs = graph.compute(ops, *graph.inputs)
    inputs = [
        helper.make_tensor_value_info(
            key, TensorProto.INT64 if key in INTEGERS else TensorProto.FLOAT, [None] * rank
        )
        for key, rank in graph.inputs.items()
    ]
    results = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in outputs]
    proto = helper.make_graph(ops.nodes, name, inputs, results, ops.initializers())
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return " ".join(ops.taken).encode("ascii") + b"\n" + serialised


class OnnxOps:
    """`Ops` over names of values: every operation appends ONNX nodes."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.taken: list[str] = []
        self._weights = weights
        self._constants: dict[str, onnx.TensorProto] = {}
        self._count = 0

    def initializers(self) -> list[onnx.TensorProto]:
        """Return the constants, and the weights as references to external data."""
        tensors = list(self._constants.values())
        for name in self.taken:
            value = self._weights[name]
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=value.shape)
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="weights")
            tensor.external_data.add(key="length", value=str(value.nbytes))
            tensors.append(tensor)
        return tensors

    def _node(self, kind: str, *inputs: str, **attributes: object) -> str:
        self._count += 1
        output = f"v{self._count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _weight(self, name: str) -> str:
        if name not in self.taken:
            self.taken.append(name)
        return name

    def _constant(self, value: Sequence[int] | float) -> str:
        array = np.array(value, np.float32 if isinstance(value, float) else np.int64)
        name = f"c{array.dtype}{array.tolist()}".replace(" ", "")
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def _reshape(self, x: str, *shape: int) -> str:
        """Reshape; 0 keeps the size of the axis, -1 is inferred."""
        return self._node("Reshape", x, self._constant(shape))

    def _slice(self, x: str, axis: int, margin: int) -> str:
        return self._node(
            "Slice", x, self._constant([margin]), self._constant([-margin]), self._constant([axis])
        )

    def conv(self, x: str, name: str, kernel: int = 1, *, depthwise: bool = False, bias: bool = True) -> str:
        inputs = [x, self._weight(f"{name}.weight")]
        if bias:
            inputs.append(self._weight(f"{name}.bias"))
        groups = self._weights[f"{name}.weight"].shape[0] if depthwise else 1
        return self._node("Conv", *inputs, kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, group=groups)

    def matmul(self, x: str, name: str, *, bias: bool = True) -> str:
        product = self._node("MatMul", self._weight(f"{name}.weight"), x)
        return self._node("Add", product, self._weight(f"{name}.bias")) if bias else product

    def act(self, x: str) -> str:
        return self._node("LeakyRelu", x, alpha=SLOPE)

    def add(self, x: str, y: str) -> str:
        return self._node("Add", x, y)

    def mul(self, x: str, y: str) -> str:
        return self._node("Mul", x, y)

    def floor(self, x: str, factor: float) -> str:
        return self._node("Floor", self.mul(x, self._constant(factor)))

    def clamp(self, x: str, low: float, high: float) -> str:
        return self._node("Clip", x, self._constant(float(low)), self._constant(float(high)))

    def crop(self, x: str, box: str) -> str:
        starts, ends = (
            self._node("Slice", box, self._constant([begin]), self._constant([begin + 2])) for begin in (0, 2)
        )
        return self._node("Slice", x, starts, ends, self._constant([2, 3]))

    def up(self, x: str) -> str:
        return self._node("DepthToSpace", x, blocksize=2, mode="DCR")

    def down(self, x: str) -> str:
        return self._node("SpaceToDepth", x, blocksize=2)

    def parities(self, x: str) -> str:
        return self._reshape(self._reshape(self.down(x), 4, -1, 0, 0), 0, 0, -1)

    def interleave(self, x: str, grid: str) -> str:
        return self.up(self._node("Reshape", x, grid))

    def patches(self, x: str) -> str:
        # [8 h, 24 w] -> [h, 8, 24 w] -> [h, 8, w, 24] -> [8, 24, h, w] -> [1, 192, h, w]
        rows = self._reshape(self._node("Unsqueeze", x, self._constant([0])), -1, 8, 0)
        placed = self._node("Transpose", self._reshape(rows, 0, 0, -1, 24), perm=[1, 3, 0, 2])
        return self._reshape(placed, 1, -1, 0, 0)

    def pixels(self, x: str) -> str:
        # [1, 192, h, w] -> [8, 24, h, w] -> [h, 8, w, 24] -> [8 h, 24 w]
        split = self._reshape(x, 8, 24, 0, 0)
        placed = self._node("Transpose", split, perm=[2, 0, 3, 1])
        rows = self._reshape(placed, 0, 0, -1)
        return self._rows(rows)

    def _rows(self, x: str) -> str:
        """Reshape [n, k, width] to [n k, width]."""
        return self._node("Squeeze", self._reshape(x, 1, -1, 0), self._constant([0]))

    def filter_columns(self, x: str, name: str, both: str | None) -> str:
        if both is None:
            head = self._node("Slice", x, *map(self._constant, ([0], [WINDOW // 2], [0])))
            tail = self._node("Slice", x, *map(self._constant, ([-WINDOW // 2], [END], [0])))
            windows = self._column_windows(self._slice(x, 0, WINDOW // 2))
            filtered = self._rows(self._node("MatMul", self._weight(name), windows))
            return self._node("Concat", head, filtered, tail, axis=0)
        margin = WINDOW // 2
        padded = self._node("Pad", x, self._constant([margin, 0, margin, 0]))
        windows = self._column_windows(padded)
        filtered = self._blend(windows, self._node("MatMul", self._weight(name), windows), both)
        return self._slice(self._rows(filtered), 0, margin)

    def _column_windows(self, x: str) -> str:
        return self._reshape(self._node("Unsqueeze", x, self._constant([0])), -1, WINDOW, 0)

    def _blend(self, x: str, y: str, share: str) -> str:
        return self.add(x, self.mul(self._node("Sub", y, x), share))

    def filter_rows(self, x: str, name: str, both: str | None) -> str:
        margin = ROW_WINDOW // 2
        if both is None:
            head = self._node("Slice", x, *map(self._constant, ([0], [margin], [1])))
            tail = self._node("Slice", x, *map(self._constant, ([-margin], [END], [1])))
            windows = self._reshape(self._slice(x, 1, margin), 0, -1, ROW_WINDOW)
            filtered = self._reshape(self._node("MatMul", windows, self._weight(name)), 0, -1)
            return self._node("Concat", head, filtered, tail, axis=1)
        padded = self._node("Pad", x, self._constant([0, margin, 0, margin]))
        windows = self._reshape(padded, 0, -1, ROW_WINDOW)
        filtered = self._blend(windows, self._node("MatMul", windows, self._weight(name)), both)
        return self._slice(self._reshape(filtered, 0, -1), 1, margin)
