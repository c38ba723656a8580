"""Draw README's figure: crops of two photographs by vaezip, WebP and AVIF at about the same number of bytes.

    python -m benchmarks.crops OUT_DIR

Writes OUT_DIR/crops.webp (lossless) and OUT_DIR/crops.json, with the bytes and the PSNR of every whole file.
WebP (method 6) and AVIF (4:2:0, speed 6) encode each whole picture at the highest quality within BPP bits per
pixel. Their quality scales are coarse and vaezip's is fine, so vaezip gets the highest rate whose file is no
larger than the smaller of the two. The figure shows the middle of each picture without scaling. The
photographs come with scikit-image: coffee by Rachel Michetti, CC0, and rocket by SpaceX, public domain;
neither is a training tile. Needs vaezip[bench].
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from PIL import Image, ImageDraw, ImageFont

from codec.bench.codecs import find_codec, read_pixels
from codec.bench.metrics import psnr_rgb
from codec.bench.page import largest_within, lossless
from codec.bench.plots import OURS
from codec.bitstream.rate_index import MAX_RATE_INDEX
from codec.image.load import RgbArray

PICTURES = ("coffee.png", "rocket.jpg")
RIVALS = ("webp", "avif")
# In bits per pixel: the lower of the two rates of the report's comparison.
BPP = 0.25
CROP_WIDTH, CROP_HEIGHT = 224, 176
MARGIN, CAPTION_HEIGHT, FONT_SIZE = 4, 20, 11


def main() -> None:
    """Encode, decode, crop and label."""
    out = Path(sys.argv[1])
    data = Path(skimage.__file__).parent / "data"
    step_x, step_y = CROP_WIDTH + MARGIN, CROP_HEIGHT + CAPTION_HEIGHT
    sheet = Image.new("RGB", ((len(RIVALS) + 2) * step_x - MARGIN, len(PICTURES) * step_y), "white")
    files = []
    for row, name in enumerate(PICTURES):
        pixels = read_pixels(data / name)
        place(sheet, (0, row * step_y), pixels, "original")
        for column, (codec, encoded) in enumerate(equal_bytes(pixels).items(), 1):
            decoded = find_codec(codec).decode(encoded)
            facts = described(codec, len(encoded), psnr_rgb(pixels, decoded))
            caption = f"{find_codec(codec).label}: {len(encoded):,} bytes, {facts['psnr_rgb']:.1f} dB"
            place(sheet, (column * step_x, row * step_y), decoded, caption)
            files.append({"picture": name, **facts})
    (out / "crops.webp").write_bytes(lossless(np.asarray(sheet)))
    record = json.dumps({"bpp": BPP, "files": files}, indent=1) + "\n"
    (out / "crops.json").write_text(record, encoding="utf-8")


def equal_bytes(pixels: RgbArray) -> dict[str, bytes]:
    """Return one file per codec: first vaezip's, which is no larger than any other."""
    limit = int(BPP * pixels.shape[0] * pixels.shape[1] / 8)
    rivals = {name: largest(name, pixels, 100, limit) for name in RIVALS}
    ours = largest(OURS, pixels, MAX_RATE_INDEX, min(map(len, rivals.values())))
    return {OURS: ours, **rivals}


def largest(name: str, pixels: RgbArray, highest: int, limit: int) -> bytes:
    """Return a codec's file at its highest quality within `limit` bytes."""
    codec = find_codec(name)
    return largest_within(lambda quality: codec.encode(pixels, quality), highest, limit)


def described(codec: str, n_bytes: int, psnr: float) -> dict[str, Any]:
    """Return the record of one file."""
    return {
        "codec": codec,
        "version": find_codec(codec).version(),
        "bytes": n_bytes,
        "psnr_rgb": round(psnr, 2),
    }


def place(sheet: Image.Image, corner: tuple[int, int], pixels: RgbArray, caption: str) -> None:
    """Paste the middle of a picture below its caption; `corner` is the top left of both, in pixels."""
    height, width = pixels.shape[:2]
    left, top = (width - CROP_WIDTH) // 2, (height - CROP_HEIGHT) // 2
    crop = Image.fromarray(pixels).crop((left, top, left + CROP_WIDTH, top + CROP_HEIGHT))
    font = ImageFont.load_default(FONT_SIZE)
    ImageDraw.Draw(sheet).text((corner[0] + 2, corner[1] + 3), caption, "black", font)
    sheet.paste(crop, (corner[0], corner[1] + CAPTION_HEIGHT))


if __name__ == "__main__":
    main()
