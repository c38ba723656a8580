"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "vaezip",
    "torch",
    "onnxruntime",
    "compressai",
    "numpy",
    "pillow",
    "constriction",
    "pillow-jxl-plugin",
    "pytorch-msssim",
    "ssimulacra2",
    "bjontegaard",
)


def machine() -> dict[str, str | int]:
    """Processor, cores this process may use, and system; nothing that names the machine itself."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu_model(),
        "cores": len(affinity(0)) if affinity else (os.cpu_count() or 1),
        "architecture": platform.machine(),
        "system": platform.system(),
    }


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or "unknown"


def versions() -> dict[str, str]:
    """Version of Python and of every package that numbers may depend on, as far as installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
