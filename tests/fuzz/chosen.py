"""Inputs that atheris found: the tests replay them, and later runs of atheris start from them.

    python tests/fuzz/chosen.py FOLDER

rewrites chosen.zip from the folders FOLDER/TARGET that guided.py has written.
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
    """Return the stored inputs of a target."""
    with zipfile.ZipFile(CHOSEN) as archive:
        return [archive.read(member) for member in archive.namelist() if member.startswith(f"{name}/")]


def keep(folder: Path) -> None:
    """Write the archive reproducibly; seeds are left out, because code makes them."""
    with zipfile.ZipFile(CHOSEN, "w") as archive:
        for name in NAMES:
            paths = [path for path in (folder / name).iterdir() if not path.name.startswith(SEED)]
            inputs = {file_name(data): data for data in map(Path.read_bytes, paths)}
            for digest, data in sorted(inputs.items()):
                archive.writestr(zipfile.ZipInfo(f"{name}/{digest}"), data, zipfile.ZIP_DEFLATED)


def file_name(data: bytes) -> str:
    """Return libFuzzer's file name for an input."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
