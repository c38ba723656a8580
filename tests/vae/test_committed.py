"""README's part about the other uses is what the committed numbers say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import codec

ROOT = Path(__file__).parents[2]

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("run from a checkout", allow_module_level=True)


def test_readme_holds_the_measured_numbers():
    spec = importlib.util.spec_from_file_location("uses_readme", ROOT / "benchmarks" / "uses" / "readme.py")
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    file = ROOT / "benchmarks" / "results" / codec.__version__ / "uses.json"
    expected = readme.block(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else ""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, rest = text.partition(readme.START)
    written, end, _ = rest.partition(readme.END)
    assert end
    assert written.strip() == expected
