"""Compare previews with whole pictures: time, and PSNR against the scaled-down whole picture.

    python -m benchmarks.studies.preview RESULT.json [PICTURE...]

Without pictures: the photo in tests/assets, mirrored to 768x512 and to 12 megapixels. All sizes are decoded
alternately in one process with one thread, five times each; the ratios of the least CPU times are reported.
The preview is compared with Pillow's `Image.reduce` of the whole decoded picture.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

import codec
from benchmarks.common import mirrored_photo

QUALITY = 75
ROUNDS = 5
SIZES = ((768, 512), (4000, 3000))


def measure(picture: Image.Image) -> dict[str, object]:
    """Compare previews at 1/8 and 1/16 with a whole picture."""
    decoder = codec.Decoder(threads=1)
    data = codec.compress(picture, QUALITY)
    seconds = {1: math.inf, 8: math.inf, 16: math.inf}
    found = {}
    for _ in range(ROUNDS):
        for scale in seconds:
            started = time.process_time()
            found[scale] = decoder.decode(data, scale=scale)
            seconds[scale] = min(seconds[scale], time.process_time() - started)
    record: dict[str, object] = {"quality": QUALITY, "whole_seconds": round(seconds[1], 4)}
    for scale in (8, 16):
        error = np.asarray(found[scale], float) - np.asarray(found[1].reduce(scale), float)
        record[f"at 1/{scale}"] = {
            "times_faster": round(seconds[1] / seconds[scale], 2),
            "psnr": round(10 * math.log10(255**2 / float(np.square(error).mean())), 2),
            "most_levels": int(np.abs(error).max()),
        }
    return record


def main() -> None:
    """Measure, write the result and print it."""
    target, *paths = map(Path, sys.argv[1:])
    pictures = {path.name: Image.open(path).convert("RGB") for path in paths}
    pictures = pictures or {f"chelsea {w}x{h}": Image.fromarray(mirrored_photo(w, h)) for w, h in SIZES}
    record = {name: measure(picture) for name, picture in pictures.items()}
    target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
