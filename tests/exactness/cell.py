"""Run the probe in a process of its own, with a given Python and settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("probe.py")

Samples = dict[str, np.ndarray]


def run_cell(
    files: Sequence[Path],
    out: Path,
    arguments: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> tuple[dict[str, Any], Samples]:
    """Return what the probe printed and what it stored in OUT, an .npz. Raises RuntimeError if it fails.

    arguments: those of the probe, without OUT and the files. settings: environment variables to add.
    """
    # Scripts put ROOT before the installed package; tests may test the installed package.
    import codec

    code = str(Path(codec.__file__).parents[1])
    command = [python, str(PROBE), *arguments, "--out", str(out), *map(str, files)]
    environment = {**os.environ, "VAEZIP_BACKEND": "torch", **(settings or {}), "PYTHONPATH": code}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{python} {arguments} {settings}: {done.stderr.strip()}")
    with np.load(out) as stored:
        return json.loads(done.stdout), dict(stored)
