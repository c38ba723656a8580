"""The places of planted defects exist in the code; tests/planted_defects/run.py plants them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import codec

ROOT = Path(codec.__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

from defects import DEFECTS  # noqa: E402


def test_at_least_twenty_defects_with_unique_names():
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 20


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_place_exists_once(defect):
    assert (ROOT / defect.file).read_text(encoding="utf-8").count(defect.old) == 1
    assert defect.new not in defect.old
