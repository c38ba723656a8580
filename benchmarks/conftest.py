"""Keep the host name out of stored timings; they name only the processor."""

from __future__ import annotations

from typing import Any


def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    """Remove the host name, which is private."""
    machine_info.pop("node", None)
