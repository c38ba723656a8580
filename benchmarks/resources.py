"""Measure the memory of decoding by declared size, and its growth over a thousand decodes.

    python -m benchmarks.resources [MEGAPIXELS...] > FOLDER/resources.json
    python -m benchmarks.resources --growth FOLDER/resources.json

FOLDER is benchmarks/results/<version>/safety; the default sizes are 1, 16, 64 and 178 megapixels. Each is
decoded by the library, on one thread, in a process of its own whose address space may grow by 350 MiB plus
8 bytes per pixel minus the memory of the loaded model. All tiles are copies of one learned tile of the test
photo. --growth measures only the growth, with the backend that the file names, and updates the file. Linux
only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import ROOT, read_photo, usual
from codec.bitstream.container import write_container
from codec.bitstream.geometry import Tile
from codec.bitstream.header import Header
from codec.encode.tile_coder import encode_tile
from codec.inference.backends import choose_backend
from codec.inference.weights import load_model
from codec.model.index import default_model_id

BASE, PER_PIXEL = 350 << 20, 8
DECODES, WARM_UP = usual((1000, 100), small=(3, 1))
GROWN = f"grown_bytes_over_{DECODES}_decodes"
STATUS = """
import json, resource, sys
from pathlib import Path
from codec.decode.decoder import Decoder
from codec.io.memory import share_one_heap

def status(name):
    with open("/proc/self/status") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

share_one_heap()
decoder = Decoder(threads=1)
small, data = (Path(name).read_bytes() for name in sys.argv[1:3])
decoder.decode(small)
"""
PEAK = (
    STATUS
    + """
room = int(sys.argv[3]) - status("VmRSS:")
resource.setrlimit(resource.RLIMIT_AS, (status("VmSize:") + room, resource.RLIM_INFINITY))
decoder.decode(data)
print(status("VmHWM:"))
"""
)
# The memory of a worker is freed when its thread ends, some time after its result. Resident memory would be
# less precise: with torch, glibc's heap keeps up to 14 MiB of free memory, depending on fragmentation.
LEAK = (
    STATUS
    + f"""
import gc, time
from codec.io.memory import allocated_bytes

def kept():
    time.sleep(1)
    gc.collect()
    return allocated_bytes()

for count in range({WARM_UP + DECODES}):
    if count == {WARM_UP}:
        before = kept()
    decoder.decode(small)
print(kept() - before)
"""
)


def make(folder: Path, megapixels: float) -> tuple[Path, int]:
    """Write a file of about the given number of megapixels; return its path and number of pixels."""
    model = load_model(default_model_id())
    pixels = np.asarray(read_photo().resize((512, 512)))
    payload = encode_tile(model, pixels, Tile(0, 0, 0, 512, 512), rate_index=1715)
    side = 512 * max(1, round(math.sqrt(1e6 * megapixels) / 512))
    header = Header(side, side, 1715, model.model_id)
    path = folder / f"{megapixels}.vae"
    path.write_bytes(write_container(header, [payload] * header.tiles))
    return path, side * side


def run(program: str, *arguments: object) -> str:
    """Run a program in a process of its own; return what it printed."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, cwd=ROOT, check=True, text=True).stdout


def growth(folder: Path) -> int:
    """Return the number of bytes by which 1,000 decodes of one tile grow the memory in use."""
    small, _ = make(folder, 0.1)
    return int(run(LEAK, small, small))


def measure(sizes: list[float], folder: Path) -> dict[str, object]:
    """Return the record of all measurements."""
    small, _ = make(folder, 0.1)
    peaks = []
    for size in sizes:
        path, n_pixels = make(folder, size)
        bound = BASE + PER_PIXEL * n_pixels
        peak = int(run(PEAK, small, path, bound))
        peaks.append(
            {
                "megapixels": round(n_pixels / 1e6, 1),
                "peak_mib": round(peak / (1 << 20), 1),
                "bound_mib": round(bound / (1 << 20), 1),
            }
        )
    return {
        "backend": choose_backend(),
        "decode_peaks": peaks,
        GROWN: growth(folder),
    }


def main() -> None:
    """Measure and print, or update a record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--growth", type=Path)
    parser.add_argument("megapixels", nargs="*", type=float, default=[1.0, 16.0, 64.0, 178.0])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.growth is None:
            print(json.dumps(measure(options.megapixels, Path(name))))
            return
        record = json.loads(options.growth.read_text(encoding="utf-8"))
        os.environ["VAEZIP_BACKEND"] = record["backend"]
        record[GROWN] = growth(Path(name))
        options.growth.write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
