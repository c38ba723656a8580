"""Lines, text, flat shapes and noise over training crops: captions, diagrams and grain are rare in photos."""

from __future__ import annotations

import functools
import string
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Rng = np.random.Generator
Colour = tuple[int, int, int]
LETTERS = np.array(list(string.ascii_letters + string.digits + " .,:;!?()-" + 8 * " "))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _colour(rng: Rng) -> Colour:
    """White or black half of the time."""
    if rng.random() < 0.5:
        return ((0, 0, 0), (255, 255, 255))[rng.integers(2)]
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _lines(pen: ImageDraw.ImageDraw, side: int, rng: Rng) -> None:
    """Parallel lines at any angle, half of the time one that is a multiple of 45 degrees."""
    angle = rng.integers(4) * np.pi / 4 if rng.random() < 0.5 else rng.uniform(0, np.pi)
    across = np.array([np.cos(angle), np.sin(angle)])
    along = np.array([-across[1], across[0]])
    fill, width, gap = _colour(rng), int(rng.integers(1, 4)), rng.uniform(6, 64)
    for distance in np.arange(-side, side, gap) + rng.uniform(0, gap):
        middle = side / 2 + distance * across
        pen.line([*(middle - side * along), *(middle + side * along)], fill=fill, width=width)


def _text(pen: ImageDraw.ImageDraw, side: int, rng: Rng) -> None:
    """Rows of letters, half of the time on a box of one colour."""
    size = int(rng.integers(8, 29))
    left, top = rng.integers(-size, side // 2, 2).tolist()
    rows = ["".join(rng.choice(LETTERS, rng.integers(8, 60))) for _ in range(rng.integers(1, 12))]
    text, font = "\n".join(rows), _font(size)
    if rng.random() < 0.5:
        pen.rectangle(pen.multiline_textbbox((left, top), text, font=font), fill=_colour(rng))
    pen.multiline_text((left, top), text, fill=_colour(rng), font=font)


def _shapes(pen: ImageDraw.ImageDraw, side: int, rng: Rng) -> None:
    for _ in range(rng.integers(1, 8)):
        corners = np.sort(rng.integers(-side // 4, side + side // 4, (2, 2)), axis=0).ravel().tolist()
        draw = (pen.rectangle, pen.ellipse)[rng.integers(2)]
        fill = _colour(rng) if rng.random() < 0.7 else None
        draw(corners, fill=fill, outline=_colour(rng), width=int(rng.integers(0 if fill else 1, 4)))


def _drawn(crop: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    picture = Image.fromarray(crop)
    kinds: list[Callable[[ImageDraw.ImageDraw, int, Rng], None]] = [_lines, _text, _shapes]
    kinds[rng.integers(len(kinds))](ImageDraw.Draw(picture), crop.shape[0], rng)
    return np.asarray(picture)


def _noisy(crop: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """Gaussian noise, weak far more often than strong, gray half of the time."""
    shape = (*crop.shape[:2], int(rng.choice([1, 3])))
    noise = rng.normal(0, 2 ** rng.uniform(1, 6), shape)
    return (crop + noise).round().clip(0, 255).astype(np.uint8)


def draw_over(crop: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """Return a crop, uint8 [S, S, 3], with something drawn over it, or with noise (one time in five)."""
    return _noisy(crop, rng) if rng.random() < 0.2 else _drawn(crop, rng)
