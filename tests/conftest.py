"""What holds for all tests."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of the trainer, saying why, where compressai is not installed."""
    if find_spec("compressai") is not None:
        return
    reason = "needs compressai: pip install '.[train]' on Python 3.11 or 3.12"
    for item in items:
        if item.get_closest_marker("train"):
            item.add_marker(pytest.mark.skip(reason=reason))
