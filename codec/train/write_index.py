"""The index of a weights folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from codec.model.index import INDEX


def write_index(folder: Path, index: dict[str, Any]) -> None:
    """Write the index of a weights folder by temporary file and rename."""
    partial = folder / f"{INDEX}.part"
    partial.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / INDEX)
