"""Time whole processes: help, info, and compressing and decompressing one 768x512 picture, per backend.

    python -m benchmarks.coldstart OUT.json

Each command runs several times; the wall and CPU time of the fastest run are kept. On a busy machine wall
times are not meaningful: consider the load that is recorded with them.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from benchmarks.common import ROOT, mirrored_photo, usual
from codec.bench.results import machine, versions

ROUNDS = usual(7, small=1)
PACKAGES = usual({"onnx": "onnxruntime", "torch": "torch"}, small={"onnx": "onnxruntime"})


def run(arguments: list[str], backend: str) -> tuple[float, float]:
    """Run the command once: wall and CPU seconds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VAEZIP_BACKEND": backend}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "codec", *arguments], env=environment, check=True, capture_output=True
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(out: Path) -> None:
    """Measure, print and write."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source, coded, again = (str(Path(folder) / name) for name in ("in.png", "in.vae", "out.png"))
        Image.fromarray(mirrored_photo(768, 512)).save(source)
        commands = {
            "compress": ["compress", "-Q", "-f", source, "-o", coded],
            "--help": ["--help"],
            "info": ["info", coded],
            "decompress": ["decompress", "-Q", "-f", coded, "-o", again],
        }
        for backend, package in PACKAGES.items():
            if find_spec(package) is None:
                print(f"{package} is not installed")
                continue
            for name, arguments in commands.items():
                times = [run(arguments, backend) for _ in range(ROUNDS)]
                wall, cpu = (round(min(column), 3) for column in zip(*times, strict=True))
                rows.append({"command": name, "backend": backend, "wall_s": wall, "cpu_s": cpu})
                print(rows[-1])
    result = {"machine": machine(), "versions": versions(), "load": os.getloadavg()[0], "rows": rows}
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
