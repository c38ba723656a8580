"""Backend protocol and selection. Imports neither torch nor onnxruntime."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from codec.errors import BackendMissing, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    # float32, or int64 for the names in graphs.INTEGERS.
    Inputs: TypeAlias = Mapping[str, NDArray[Any]]

VARIABLE = "VAEZIP_BACKEND"
PACKAGES = {"onnx": "onnxruntime", "torch": "torch"}
CPU = "cpu"
INSTALL_TORCH = "pip install 'vaezip[torch]'"


def need_torch(what: str) -> None:
    """Raise BackendMissing unless torch is installed. what: what needs it, the subject of the message."""
    if not _is_installed("torch"):
        raise BackendMissing(f"{what} needs torch, which is not installed; run: {INSTALL_TORCH}")


class Runner(Protocol):
    """Run the graphs of one model; threads may share it."""

    @property
    def name(self) -> str:
        """`torch` or `onnx`."""

    @property
    def device(self) -> str:
        """The device that computes: CPU, or torch's name of another."""

    def run(self, graph: str, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Compute a graph on arrays; graphs.py has their shapes. Inputs of rank 2 may be overwritten."""


def choose_backend(device: str = CPU) -> str:
    """Return `onnx` or `torch`: VAEZIP_BACKEND if set, else torch if already imported, else an installed one.

    Devices other than the CPU need torch. Raises UsageError for another name in VAEZIP_BACKEND, and
    BackendMissing if the package is not installed.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked and asked not in PACKAGES:
        raise UsageError(f"{VARIABLE} must be torch or onnx, not {asked!r}", field=VARIABLE)
    if device != CPU:
        if asked == "onnx":
            raise UsageError(f"{VARIABLE}=onnx computes on the CPU only, not on {device!r}", field="device")
        asked = "torch"
    if not asked and "torch" in sys.modules:
        return "torch"
    for name in (asked,) if asked else PACKAGES:
        if _is_installed(PACKAGES[name]):
            return name
    if asked == "torch":
        raise BackendMissing(f"torch is not installed; run: {INSTALL_TORCH}")
    raise BackendMissing("onnxruntime is not installed; run: pip install onnxruntime")


def _is_installed(package: str) -> bool:
    try:
        return package in sys.modules or find_spec(package) is not None
    except ImportError:
        return False
