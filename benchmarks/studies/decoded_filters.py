"""Gains of filters after decoding at low quality: against shifts of colour, and against banding.

    python -m benchmarks.studies.decoded_filters DIR_OF_PICTURES OUT_DIR

Corrections of colour are given more than a decoder could have: each is fitted to the very picture that it
then corrects, channel by channel. Smoothing, of flat areas only, has several strengths. Writes the part
`filters` of OUT_DIR/tuning.json, beside those of benchmarks/tuning.py. Needs vaezip[bench].
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
# Smoothing: radius in pixels, and how far samples may lie apart within it to count as flat, in levels.
RADIUS, RANGES = 2, (4, 8, 16)
SEED = 3


def filters(pictures: list[Any]) -> dict[str, Any]:
    """Mean gain of PSNR in dB and of SSIMULACRA2 by filter, at each quality."""
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
    """Gain of PSNR and SSIMULACRA2 of each filter on one decoded picture."""
    plain = psnr_rgb(x, x_hat), ssimulacra2(x, x_hat)
    tried = {"mean of each channel": shifted(x, x_hat), "line through each channel": fitted(x, x_hat)}
    tried |= {f"smooth within {apart}": smoothed(x_hat, apart) for apart in RANGES}
    tried["dither"] = dithered(x_hat)
    return {name: (psnr_rgb(x, y) - plain[0], ssimulacra2(x, y) - plain[1]) for name, y in tried.items()}


def shifted(x: NDArray[np.uint8], x_hat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give each channel the original's mean."""
    return rounded(x_hat + (x.mean((0, 1)) - x_hat.mean((0, 1))))


def fitted(x: NDArray[np.uint8], x_hat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put each channel through the line that brings it nearest to the original."""
    lines = [np.polyfit(x_hat[..., c].ravel().astype(float), x[..., c].ravel(), 1) for c in range(3)]
    return rounded(np.stack([np.polyval(line, x_hat[..., c]) for c, line in enumerate(lines)], 2))


def smoothed(x_hat: NDArray[np.uint8], apart: int) -> NDArray[np.uint8]:
    """Replace samples by means around them in flat areas, where bands show."""
    image, size = Image.fromarray(x_hat), 2 * RADIUS + 1
    high, low = (
        np.asarray(image.filter(kind(size)), np.int16)
        for kind in (ImageFilter.MaxFilter, ImageFilter.MinFilter)
    )
    flat = (high - low).max(2, keepdims=True) <= apart
    return np.where(flat, np.asarray(image.filter(ImageFilter.BoxBlur(RADIUS))), x_hat)


def dithered(x_hat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add noise of up to one level to samples, which hides bands."""
    noise = np.random.default_rng(SEED).uniform(-1, 1, x_hat.shape)
    return rounded(x_hat + noise)


def rounded(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Round to samples."""
    return np.clip(np.rint(samples), 0, 255).astype(np.uint8)


def main(folder: Path, out: Path) -> None:
    """Measure all pictures of a folder."""
    pictures = read_pictures(folder)
    record_part(out, "filters", {"pictures": len(pictures)} | filters(pictures))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
