"""At what price in bits the shipped model trades squared error, beside the lmbda of its loss.

    python -m benchmarks.training.slope DIR_OF_PICTURES

Prints for some rates how many bits more a picture takes for how much less squared error from one rate to the
next, over all pictures, as a multiple of lmbda: what codec.effort.sensitivity weighs errors with.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import codec
from codec.bench.codecs import read_pixels
from codec.model.config import MAX_RATE, STEP_UNITS
from codec.model.index import default_model_id, model_entry
from codec.model.quality import from_rate
from codec.model.weights import load_model

RATES = range(128, MAX_RATE, 256)
HALF = 64


def main(folder: Path) -> None:
    """Print a line for each rate."""
    pictures = [read_pixels(path) for path in sorted(folder.iterdir())]
    entry = model_entry(default_model_id())
    config = load_model(entry.model_id).config
    for rate in RATES:
        ends = np.array([spent(pictures, from_rate(r, entry)) for r in (rate - HALF, rate + HALF)])
        bits, error = ends[1] - ends[0]
        print(f"rate {rate}: {-3 * bits / error / config.lmbda(rate / STEP_UNITS):.3f}")


def spent(pictures: list[np.ndarray], quality: float) -> tuple[float, float]:
    """Bits and squared error of all pictures at a quality."""
    encoder, bits, error = codec.Encoder(quality, effort=0), 0.0, 0.0
    for x in pictures:
        data = encoder.encode(x)
        bits += 8 * len(data)
        error += np.square(np.asarray(codec.decompress(data)).astype(float) - x).sum()
    return bits, error


if __name__ == "__main__":
    main(Path(sys.argv[1]))
