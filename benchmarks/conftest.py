"""What the stored timings say about the machine: the processor, never its name."""

from __future__ import annotations

from typing import Any


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    """Leave out the host name, which is nobody's business."""
    machine_info.pop("node", None)
