"""Compare unusual pictures (text, noise, lines, flat areas) with WebP: PSNR at the same number of bytes.

    python -m benchmarks.content FOLDER RESULT.json

Every PNG of the folder, and patterns made here, are compressed at several qualities, and by WebP (Pillow,
method 6) at 41 qualities and losslessly; bytes are those of whole files. WebP's PSNR at vaezip's bytes is
interpolated over the logarithm of bytes. Above the size of WebP's quality 100 it is the PSNR of quality 100,
or exact if the lossless file is small enough.
"""

from __future__ import annotations

import json
import math
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import codec
from benchmarks.common import read_photo, usual

QUALITIES = (25, 50, 75, 90)
WEBP_QUALITIES = np.linspace(0, 100, usual(41, small=3))
# PSNR that represents an exact copy.
EXACT_DB = 99.0
LIMIT_DB = 1.0
SIDE = usual(256, small=64)


def patterns() -> dict[str, Image.Image]:
    """Return RGB pictures, by name, that are hard for transform codecs."""
    rows, columns = np.indices((SIDE, SIDE))
    checks = (rows + columns) % 2
    rng = np.random.default_rng(0)
    photo = read_photo().crop((100, 20, 100 + SIDE, 20 + SIDE))
    lined = photo.copy()
    pen = ImageDraw.Draw(lined)
    for place in range(-SIDE, SIDE, 24):
        pen.line((place, 0, place + SIDE, SIDE), fill="white")
    samples = {
        "checkerboard": np.repeat(255 * checks[..., None], 3, 2),
        "checkerboard red and blue": np.dstack([255 * checks, 0 * checks, 255 - 255 * checks]),
        "checkerboard on a ramp": np.repeat((rows // 2 + 127 * checks)[..., None], 3, 2),
        "gray noise": np.repeat(rng.integers(0, 256, (SIDE, SIDE, 1)), 3, 2),
        "faint noise": 128 + rng.integers(-8, 9, (SIDE, SIDE, 3)),
        "dithered photo": np.asarray(photo.convert("1").convert("RGB")),
    }
    made = {name: Image.fromarray(part.astype(np.uint8)) for name, part in samples.items()}
    made["red text on blue"] = _text(Image.new("RGB", (SIDE, SIDE), (0, 0, 200)), (220, 0, 0))
    made["text on a photo"] = _text(photo.copy(), (255, 255, 255))
    return {**made, "lines on a photo": lined}


def _text(picture: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    pen = ImageDraw.Draw(picture)
    for top in range(4, SIDE, 16):
        pen.text((4, top), "Sphinx of black quartz, judge my vow 0123456789", fill=colour)
    return picture


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return PSNR over all samples in dB, at most EXACT_DB."""
    error = float(np.square(first.astype(float) - second.astype(float)).mean())
    return min(EXACT_DB, 10 * math.log10(255**2 / error)) if error else EXACT_DB


def webp(picture: Image.Image, **options: object) -> tuple[int, float]:
    """Return bytes and PSNR of a picture of mode RGB as a WebP file."""
    buffer = BytesIO()
    picture.save(buffer, "WEBP", method=6, **options)
    return buffer.tell(), psnr(np.asarray(picture), np.asarray(Image.open(buffer).convert("RGB")))


def webp_at(n_bytes: int, lossy: list[tuple[int, float]], exact: tuple[int, float]) -> float | None:
    """Return the best PSNR of WebP within `n_bytes`; None if its smallest file takes more."""
    if exact[0] <= n_bytes:
        return exact[1]
    points = sorted(lossy)
    if n_bytes < points[0][0]:
        return None
    # WebP's curve is not monotonic: use the best file up to each size.
    best = np.maximum.accumulate([level for _, level in points])
    return float(np.interp(math.log(n_bytes), [math.log(size) for size, _ in points], best))


def measure(name: str, picture: Image.Image) -> dict[str, object]:
    """Compare both codecs on one picture of mode RGB."""
    lossy = [webp(picture, quality=float(quality)) for quality in WEBP_QUALITIES]
    exact = webp(picture, lossless=True, quality=100)
    points = []
    for quality in QUALITIES:
        data = codec.compress(picture, quality)
        level = psnr(np.asarray(picture), np.asarray(codec.decompress(data)))
        other = webp_at(len(data), lossy, exact)
        points.append(
            {
                "quality": quality,
                "bytes": len(data),
                "lossless_tiles": codec.info(data).lossless_tiles,
                "psnr": round(level, 2),
                "webp_psnr": None if other is None else round(other, 2),
                "difference": None if other is None else round(level - other, 2),
            }
        )
    smallest = min(size for size, _ in lossy)
    return {
        "picture": name,
        "webp_lossless_bytes": exact[0],
        "webp_least_bytes": smallest,
        "points": points,
    }


def main() -> None:
    """Measure a folder, write the result and print one line per point."""
    folder, target = map(Path, sys.argv[1:])
    found = {path.name: Image.open(path).convert("RGB") for path in sorted(folder.glob("*.png"))}
    pictures = [measure(name, picture) for name, picture in {**found, **patterns()}.items()]
    record = {
        "vaezip": codec.__version__,
        "pillow": Image.__version__,
        "exact_db": EXACT_DB,
        "limit_db": LIMIT_DB,
        "pictures": pictures,
    }
    target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for picture in pictures:
        for point in picture["points"]:
            worse = point["difference"] is not None and point["difference"] < -LIMIT_DB
            print(f"{picture['picture']:28}", *(f"{value!s:>8}" for value in point.values()), "worse" * worse)


if __name__ == "__main__":
    main()
