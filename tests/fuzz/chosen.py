"""Inputs that atheris chose: tests try them, and its later runs go on from them.

    python tests/fuzz/chosen.py FOLDER

writes chosen.zip anew, of FOLDER/TARGET as guided.py leaves it.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

from loop import NAMES

CHOSEN = Path(__file__).with_name("chosen.zip")
SEED = "seed-"


def chosen(name: str) -> list[bytes]:
    """Return what was chosen for a target."""
    with zipfile.ZipFile(CHOSEN) as archive:
        return [archive.read(member) for member in archive.namelist() if member.startswith(f"{name}/")]


def keep(folder: Path) -> None:
    """Write the archive, the same for the same inputs; seeds are made by code and are left out."""
    with zipfile.ZipFile(CHOSEN, "w") as archive:
        for name in NAMES:
            paths = [path for path in (folder / name).iterdir() if not path.name.startswith(SEED)]
            inputs = {file_name(data): data for data in map(Path.read_bytes, paths)}
            for digest, data in sorted(inputs.items()):
                archive.writestr(zipfile.ZipInfo(f"{name}/{digest}"), data, zipfile.ZIP_DEFLATED)


def file_name(data: bytes) -> str:
    """Return what libFuzzer calls an input."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
