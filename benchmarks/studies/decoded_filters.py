"""Measure filters after decoding at low quality: correction of colour shifts, and smoothing of banding.

    python -m benchmarks.studies.decoded_filters DIR_OF_PICTURES OUT_DIR

Colour corrections are fitted to the original picture, channel by channel, which no decoder could do, so their
gain is an upper bound. Flat areas are smoothed with several strengths. Writes the part `filters` of
OUT_DIR/tuning.json, to which benchmarks/tuning.py writes the other parts. Needs vaezip[bench].
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import codec
from benchmarks.tuning import read_pictures, record_part
from codec.bench.metrics import psnr_rgb, ssimulacra2

QUALITIES = (6.0, 15.0)
# Smoothing: radius in pixels, and the largest difference in levels of samples within it that counts as flat.
RADIUS, RANGES = 2, (4, 8, 16)
SEED = 3


def filters(pictures: list[Any]) -> dict[str, Any]:
    """Return the mean gains in PSNR (dB) and SSIMULACRA2 of each filter, at each quality."""
    decoder, found = codec.Decoder(), {}
    for quality in QUALITIES:
        encoder = codec.Encoder(quality, effort=0)
        rows = [gains(x, np.asarray(decoder.decode(encoder.encode(x)))) for x in pictures]
        found[f"{quality:g}"] = {
            name: dict(
                zip(("psnr_db", "ssimulacra2"), np.mean([r[name] for r in rows], 0).round(3), strict=True)
            )
            for name in rows[0]
        }
    return {"gains_by_quality": found}


def gains(x: NDArray[np.uint8], x_hat: NDArray[np.uint8]) -> dict[str, tuple[float, float]]:
    """Return the gains in PSNR and SSIMULACRA2 of each filter on one decoded picture."""
    plain = psnr_rgb(x, x_hat), ssimulacra2(x, x_hat)
    tried = {"mean of each channel": shifted(x, x_hat), "line through each channel": fitted(x, x_hat)}
    tried |= {f"smooth within {apart}": smoothed(x_hat, apart) for apart in RANGES}
    tried["dither"] = dithered(x_hat)
    return {name: (psnr_rgb(x, y) - plain[0], ssimulacra2(x, y) - plain[1]) for name, y in tried.items()}


def shifted(x: NDArray[np.uint8], x_hat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shift each channel to the mean of the original."""
    return rounded(x_hat + (x.mean((0, 1)) - x_hat.mean((0, 1))))


def fitted(x: NDArray[np.uint8], x_hat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Map each channel by the linear function that fits the original best."""
    lines = [np.polyfit(x_hat[..., c].ravel().astype(float), x[..., c].ravel(), 1) for c in range(3)]
    return rounded(np.stack([np.polyval(line, x_hat[..., c]) for c, line in enumerate(lines)], 2))


def smoothed(x_hat: NDArray[np.uint8], apart: int) -> NDArray[np.uint8]:
    """Replace samples in flat areas, where banding is visible, by local means."""
    image, size = Image.fromarray(x_hat), 2 * RADIUS + 1
    high, low = (
        np.asarray(image.filter(kind(size)), np.int16)
        for kind in (ImageFilter.MaxFilter, ImageFilter.MinFilter)
    )
    flat = (high - low).max(2, keepdims=True) <= apart
    return np.where(flat, np.asarray(image.filter(ImageFilter.BoxBlur(RADIUS))), x_hat)


def dithered(x_hat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add noise of up to one level, which hides banding."""
    noise = np.random.default_rng(SEED).uniform(-1, 1, x_hat.shape)
    return rounded(x_hat + noise)


def rounded(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Round and clip to uint8 samples."""
    return np.clip(np.rint(samples), 0, 255).astype(np.uint8)


def main(folder: Path, out: Path) -> None:
    """Measure all pictures of a folder."""
    pictures = read_pictures(folder)
    record_part(out, "filters", {"pictures": len(pictures)} | filters(pictures))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
