"""Set the scale of the user's quality by WebP: quality Q gives the mean PSNR that WebP gives at Q."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.quality import MAX_RATE_INDEX
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import TrainingError
from codec.model.index import INDEX, select_folder
from codec.ratecontrol.likeness import psnr

from .data import list_pictures
from .write_index import write_index

RATE_INDICES = np.linspace(0, MAX_RATE_INDEX, 21).round().astype(int)
QUALITIES = np.arange(0, 101, 5)


def _webp(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", quality=quality, method=6)
    with Image.open(stream) as image:
        return np.asarray(image.convert("RGB"))


def calibrate(images: Path, weights: Path) -> list[tuple[float, int]]:
    """Measure on a folder of pictures, store it in the index of `weights`, return it."""
    select_folder(weights)
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in list_pictures(images)]
    encoder, decoder = Encoder(), Decoder()
    ours = []
    for rate_index in RATE_INDICES:
        encoder.rate_index = int(rate_index)
        ours.append(np.mean([psnr(p, np.asarray(decoder.decode(encoder.encode(p)))) for p in pictures]))
    theirs = [np.mean([psnr(p, _webp(p, int(q))) for p in pictures]) for q in QUALITIES]
    points = match(np.array(theirs), np.array(ours))
    index = json.loads((weights / INDEX).read_text(encoding="utf-8"))
    index["models"][index["default"]]["calibration"] = points
    write_index(weights, index)
    return points


def match(theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> list[tuple[float, int]]:
    """Return pairs (quality, rate index) of equal PSNR, from mean PSNR at QUALITIES and at RATE_INDICES.

    Both must rise. Where one end lies beyond what WebP reaches, it takes quality 0 or 100 all the same.
    """
    if (np.diff(ours) <= 0).any() or (np.diff(theirs) <= 0).any():
        raise TrainingError(
            "mean PSNR does not rise with the rate index; the model is not trained well enough to calibrate"
        )
    low = float(np.interp(ours[0], theirs, QUALITIES))
    high = float(np.interp(ours[-1], theirs, QUALITIES))
    inner = [float(q) for q in QUALITIES if low < q < high]
    wanted = np.interp(inner, QUALITIES, theirs)
    matched = np.interp(wanted, ours, RATE_INDICES).round().astype(int)
    middle = [(q, int(r)) for q, r in zip(inner, matched, strict=True)]
    return [(round(low, 2), 0), *middle, (round(high, 2), MAX_RATE_INDEX)]
