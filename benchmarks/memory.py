"""Measure peak memory and time of compressing and decompressing a very large picture.

    python -m benchmarks.memory [MEGAPIXELS]

Each direction runs the command in a process of its own. The picture is the test photo, extended by mirroring,
with a brightness that changes from row to row. Prints one JSON object.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import peak_bytes, read_photo
from codec.inference.backends import choose_backend


def make(path: Path, side: int) -> None:
    """Write a picture of side x side pixels."""
    Image.MAX_IMAGE_PIXELS = None
    part = np.asarray(read_photo())
    row = np.concatenate([part, part[:, ::-1]], 1)
    row = np.concatenate([row] * math.ceil(side / row.shape[1]), 1)[:, :side]
    picture = Image.new("RGB", (side, side))
    for number, top in enumerate(range(0, side, row.shape[0])):
        gain = 0.6 + 0.4 * (number % 7) / 6
        picture.paste(Image.fromarray((row[:: 1 - 2 * (number % 2)] * gain).astype(np.uint8)), (0, top))
    picture.save(path, compression="tiff_lzw")


def measure(*arguments: str | Path) -> dict[str, float]:
    """Run a command of the package; return its seconds and peak resident memory in MiB."""
    started = time.perf_counter()
    peak = peak_bytes(*arguments)
    return {"seconds": round(time.perf_counter() - started, 1), "peak_mib": round(peak / (1 << 20), 1)}


def main() -> None:
    """Measure and print."""
    side = round(math.sqrt(1e6 * float(sys.argv[1] if len(sys.argv) > 1 else 120)))
    pixels_mib = 3 * side**2 / (1 << 20)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "large.tif", side)
        record: dict[str, object] = {"backend": choose_backend()}
        record |= {"side": side, "megapixels": side**2 / 1e6, "pixels_mib": round(pixels_mib, 1)}
        for verb, source, target in (
            ("compress", "large.tif", "large.vae"),
            ("decompress", "large.vae", "back.tif"),
        ):
            found = measure(verb, folder / source, "-o", folder / target)
            record[verb] = {**found, "beyond_pixels_mib": round(found["peak_mib"] - pixels_mib, 1)}
        record["bytes"] = (folder / "large.vae").stat().st_size
    print(json.dumps(record))


if __name__ == "__main__":
    main()
