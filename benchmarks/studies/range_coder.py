"""Compare the range coder in plain Python with constriction: CPU seconds on one thread.

    python -m benchmarks.studies.range_coder RESULT.json

The picture is the test photo, 451x300, at quality 75. Results are medians over alternating processes. Needs
constriction.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.common import PHOTO, ROOT, usual

TURNS, REPEATS = usual((5, 9), small=(1, 1))
PROGRAM = f"""
import sys, time
if sys.argv[1] == "plain":
    sys.modules["constriction"] = None
from PIL import Image
import codec
from codec.entropy.range_coder import BEST
assert sys.argv[1] == BEST.name
picture = Image.open(sys.argv[2]).convert("RGB")
encoder, decoder = codec.Encoder(75, threads=1), codec.Decoder(threads=1)
data = encoder.encode(picture)
decoder.decode(data)
for _ in range({REPEATS}):
    began = time.process_time()
    encoder.encode(picture)
    between = time.process_time()
    decoder.decode(data)
    print(between - began, time.process_time() - between)
"""


def main() -> None:
    """Measure and write the record."""
    rows: dict[str, list[list[float]]] = {"constriction": [], "plain": []}
    for _ in range(TURNS):
        for name, found in rows.items():
            command = [sys.executable, "-c", PROGRAM, name, str(PHOTO)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            found += [[float(part) for part in line.split()] for line in done.stdout.splitlines()]
    medians = {name: np.median(found, axis=0).tolist() for name, found in rows.items()}
    record = {
        what: {name: round(values[at], 4) for name, values in medians.items()}
        for at, what in enumerate(("encode_seconds", "decode_seconds"))
    }
    for seconds in record.values():
        seconds["ratio"] = round(seconds["plain"] / seconds["constriction"], 1)
    Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
