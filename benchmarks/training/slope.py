"""Compare the rate-distortion slope of the shipped model with the lmbda of its loss.

    python -m benchmarks.training.slope DIR_OF_PICTURES

Prints, for neighbouring rate indices, the additional bits per reduction of squared error over all pictures,
as a multiple of lmbda, which is the weight of errors in codec.encode.rdo.decision.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import codec
from codec.bench.codecs import read_pixels
from codec.bitstream.rate_index import MAX_RATE_INDEX, STEP_UNITS
from codec.inference.weights import load_model
from codec.model.index import default_model_id, from_rate_index, model_entry

RATE_INDICES = range(128, MAX_RATE_INDEX, 256)
HALF = 64


def main(folder: Path) -> None:
    """Print one line per rate index."""
    pictures = [read_pixels(path) for path in sorted(folder.iterdir())]
    entry = model_entry(default_model_id())
    config = load_model(entry.model_id).config
    for rate_index in RATE_INDICES:
        ends = np.array(
            [spent(pictures, from_rate_index(r, entry)) for r in (rate_index - HALF, rate_index + HALF)]
        )
        bits, error = ends[1] - ends[0]
        print(f"rate index {rate_index}: {-3 * bits / error / config.lmbda(rate_index / STEP_UNITS):.3f}")


def spent(pictures: list[np.ndarray], quality: float) -> tuple[float, float]:
    """Return the bits and the squared error of all pictures at a quality."""
    encoder, bits, error = codec.Encoder(quality, effort=0), 0.0, 0.0
    for x in pictures:
        data = encoder.encode(x)
        bits += 8 * len(data)
        error += np.square(np.asarray(codec.decompress(data)).astype(float) - x).sum()
    return bits, error


if __name__ == "__main__":
    main(Path(sys.argv[1]))
