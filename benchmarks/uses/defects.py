"""Synthetic defects on textures, and holes in photos.

The defects were adjusted once after a first measurement: scratches and blobs became opaque, and the radius of
blobs grew from 6..12 to 12..20.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

KINDS = ("scratch", "blob", "noise", "blur", "copy-paste")
PATCH = 32
DARK, BRIGHT = 20, 235


def add_defect(
    pixels: NDArray[np.uint8], kind: str, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a copy of samples, uint8 [H, W, 3], with one defect, and its mask, bool [H, W]."""
    height, width = pixels.shape[:2]
    out = pixels.astype(np.float64)
    if kind == "scratch":
        mask = _line(height, width, rng)
        out[mask] = rng.choice([DARK, BRIGHT])
    elif kind == "blob":
        radius = rng.uniform(12, 20)
        cx, cy = rng.uniform(16, width - 16), rng.uniform(16, height - 16)
        yy, xx = np.mgrid[:height, :width]
        distance = np.hypot(yy - cy, xx - cx)
        mask = distance < radius
        opacity = np.clip((radius - distance) / 2, 0, 1)[..., None]
        out = out * (1 - opacity) + opacity * rng.choice([DARK, BRIGHT])
    else:
        mask = np.zeros((height, width), bool)
        top, left = (int(rng.integers(0, side - PATCH + 1)) for side in (height, width))
        place = slice(top, top + PATCH), slice(left, left + PATCH)
        mask[place] = True
        if kind == "noise":
            out[place] += rng.normal(0, 40, (PATCH, PATCH, 1))
        elif kind == "blur":
            out[place] = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2)))[place]
        else:
            y, x = (int(rng.integers(0, side - PATCH + 1)) for side in (height, width))
            out[place] = pixels[y : y + PATCH, x : x + PATCH]
    return np.clip(np.rint(out), 0, 255).astype(np.uint8), mask


def _line(height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    mask = Image.new("L", (width, height))
    angle, half = rng.uniform(0, math.pi), rng.uniform(20, 40)
    x, y = rng.uniform(20, width - 20), rng.uniform(20, height - 20)
    dx, dy = half * math.cos(angle), half * math.sin(angle)
    ImageDraw.Draw(mask).line([(x - dx, y - dy), (x + dx, y + dy)], fill=255, width=int(rng.integers(1, 4)))
    return np.asarray(mask) > 0


def holes(kind: str, height: int, width: int, seed: int) -> NDArray[np.bool_]:
    """Return a mask of scratches 2 to 4 pixels wide, or of a 32x32 square per 96x96: bool [height, width]."""
    rng = np.random.default_rng(seed)
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    if kind == "scratches":
        for _ in range(max(1, height * width // 8192)):
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            angle, length = rng.uniform(0, math.pi), rng.uniform(60, 140)
            end = (x + length * math.cos(angle), y + length * math.sin(angle))
            draw.line([(x, y), end], fill=255, width=int(rng.integers(2, 5)))
    else:
        for top in range(0, height - 95, 96):
            for left in range(0, width - 95, 96):
                y, x = (base + int(rng.integers(16, 49)) for base in (top, left))
                draw.rectangle([x, y, x + 31, y + 31], fill=255)
    return np.asarray(mask) > 0
