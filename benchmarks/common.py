"""Functions that the scripts share: small runs, test photo, peak memory, multiplications of the networks.

`SMALL=1 python -m benchmarks.SCRIPT ...` takes seconds and measures nothing useful: it checks that the script
works. The same holds for `SMALL=1 benchmarks/run` and `SMALL=1 python -m pytest benchmarks/test_speed.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
# 451x300, by Stefan van der Walt, CC0.
PHOTO = ROOT / "tests" / "assets" / "chelsea.png"
SMALL = os.environ.get("SMALL") == "1"
# Not ru_maxrss: on Linux a child inherits its parent's peak, through fork and exec.
PEAK_PROGRAM = """
import sys
from codec.cli.main import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
sys.exit(code)
"""
# Weights of the graphs that work at 1/8 of the resolution; all others work at 1/16.
AT_8 = ("g_a.in8", "g_a.blocks8", "g_s.blocks8", "g_s.out")
# The lapped filter: 16 vertical and 48 horizontal products for each of three samples.
LAPPED = 3 * (16 + 48)
MATRIX_SIDE = 1024


def usual(value: T, *, small: T) -> T:
    """Return `value`, or `small` in a small run."""
    return small if SMALL else value


def read_photo() -> Image.Image:
    """Return the test photo as an RGB picture."""
    with Image.open(PHOTO) as photo:
        return photo.convert("RGB")


def mirrored_photo(width: int, height: int) -> NDArray[np.uint8]:
    """Return the test photo, extended by mirroring or cropped to a size: uint8 [height, width, 3]."""
    pixels = np.asarray(read_photo())
    missing = ((0, max(0, height - pixels.shape[0])), (0, max(0, width - pixels.shape[1])), (0, 0))
    return np.ascontiguousarray(np.pad(pixels, missing, mode="symmetric")[:height, :width])


def peak_bytes(*arguments: str | Path) -> int:
    """Run `vaezip` with arguments in a process of its own; return its peak resident bytes. Linux only."""
    command = [sys.executable, "-c", PEAK_PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=True, text=True)
    return 1024 * int(done.stdout.split()[-1])


def macs_by_weight() -> dict[str, float]:
    """Return the multiplications per pixel of each weight of the graphs, without halos."""
    # Imported here because profile_stages.py also runs with an old package that lacks these.
    from codec.inference.weights import architecture, folded_weights, read_verified
    from codec.model.index import default_model_id, model_entry

    arrays, meta = read_verified(model_entry(default_model_id()))
    weights = folded_weights(architecture(meta), arrays)
    return {
        # The matrix of a coding step is applied to a quarter of the positions in each phase of 2x2.
        name: value.size / (64 if name.startswith(AT_8) else 256) / (4 if value.ndim == 3 else 1)
        for name, value in weights.items()
        if name.endswith(".weight")
    }


def macs_per_pixel() -> dict[str, float]:
    """Return multiplications per pixel of encoding and of decoding."""
    found = {"encode": float(LAPPED), "decode": float(LAPPED)}
    for name, share in macs_by_weight().items():
        if not name.startswith("g_s."):
            found["encode"] += share
        if not name.startswith(("g_a.", "h_a.")):
            found["decode"] += share
    return found


def matrix_gflops() -> float:
    """Return the GFLOP/s that one core reaches on products of large matrices."""
    a = np.ones((MATRIX_SIDE, MATRIX_SIDE), np.float32)
    best = float("inf")
    for _ in range(8):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return 2 * MATRIX_SIDE**3 / best / 1e9
