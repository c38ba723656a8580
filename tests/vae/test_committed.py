"""docs/other-uses.md matches the committed results."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

import codec

ROOT = Path(__file__).parents[2]

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("run from a checkout", allow_module_level=True)


def test_page_holds_the_measured_numbers(monkeypatch):
    # benchmarks/ is not installed.
    monkeypatch.syspath_prepend(ROOT)
    page = importlib.import_module("benchmarks.uses.page")
    file = ROOT / "benchmarks" / "results" / codec.__version__ / "uses.json"
    target = ROOT / "docs" / "other-uses.md"
    expected = page.block(json.loads(file.read_text(encoding="utf-8")), target)
    _, _, rest = target.read_text(encoding="utf-8").partition(page.START)
    written, end, _ = rest.partition(page.END)
    assert end
    assert written.strip() == expected
