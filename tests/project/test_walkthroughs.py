"""The walks through the code in docs/architecture.md list the files that calls visit, in order."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import codec

ROOT = Path(codec.__file__).parent
PAGE = ROOT.parent / "docs" / "architecture.md"
MAX_FILES = 12
if not PAGE.is_file():
    pytest.skip("the tests of a wheel lie beside no documentation", allow_module_level=True)


def walk(heading: str) -> list[str]:
    """Return the files in the table that follows a line of the page."""
    text = PAGE.read_text(encoding="utf-8").split(heading, 1)[1]
    table = re.search(r"\n\n((?:\|.*\n)+)", text)[1]
    return re.findall(r"^\| `([\w/.]+)` \|", table, re.MULTILINE)


def visited(call) -> list[str]:
    """Return the files of codec whose functions a call runs, in any thread, in order of first use."""
    seen: dict[str, None] = {}

    def note(frame, event, _):
        path = Path(frame.f_code.co_filename)
        # A module body runs at the import, which is not its use.
        if event == "call" and ROOT in path.parents and frame.f_code.co_name != "<module>":
            seen.setdefault(path.relative_to(ROOT).as_posix())

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return list(seen)


# Noise is coded by the networks; a smooth picture might be stored losslessly.
PICTURE = np.random.default_rng(5).integers(0, 256, (48, 64, 3), np.uint8)
DATA = codec.compress(PICTURE, quality=40)


@pytest.mark.parametrize(
    ("heading", "call"),
    [
        ("From `codec.compress` to bytes:", lambda: codec.compress(PICTURE, quality=41)),
        ("From bytes to pixels:", lambda: codec.decompress(DATA)),
    ],
    ids=["compress", "decompress"],
)
def test_walk_lists_the_files_of_a_call(heading, call):
    files = walk(heading)
    assert 6 <= len(files) <= MAX_FILES
    assert [file for file in visited(call) if file in files] == files
