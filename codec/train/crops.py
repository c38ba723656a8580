"""Cut training crops from a folder of pictures, and draw over some of them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError
from torch import Tensor

from codec.errors import TrainingError
from codec.io.mapping import pictures_below

# Number of pictures to hold out from training.
HELD_OUT = 64
# Side in pixels of the tiles that pictures are cut into.
TILE = 512

Rng = np.random.Generator
Colour = tuple[int, int, int]
LETTERS = np.array(list(string.ascii_letters + string.digits + " .,:;!?()-" + 8 * " "))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _colour(rng: Rng) -> Colour:
    """Return black or white with probability 1/2, else a random colour."""
    if rng.random() < 0.5:
        return ((0, 0, 0), (255, 255, 255))[rng.integers(2)]
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _lines(pen: ImageDraw.ImageDraw, side: int, rng: Rng) -> None:
    """Draw parallel lines at a random angle; with probability 1/2 a multiple of 45 degrees."""
    angle = rng.integers(4) * np.pi / 4 if rng.random() < 0.5 else rng.uniform(0, np.pi)
    across = np.array([np.cos(angle), np.sin(angle)])
    along = np.array([-across[1], across[0]])
    fill, width, gap = _colour(rng), int(rng.integers(1, 4)), rng.uniform(6, 64)
    for distance in np.arange(-side, side, gap) + rng.uniform(0, gap):
        middle = side / 2 + distance * across
        pen.line([*(middle - side * along), *(middle + side * along)], fill=fill, width=width)


def _text(pen: ImageDraw.ImageDraw, side: int, rng: Rng) -> None:
    """Draw rows of letters, with probability 1/2 on a box of one colour."""
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
    """Add Gaussian noise of standard deviation 2 to 64, log-uniform; gray with probability 1/2."""
    shape = (*crop.shape[:2], int(rng.choice([1, 3])))
    noise = rng.normal(0, 2 ** rng.uniform(1, 6), shape)
    return (crop + noise).round().clip(0, 255).astype(np.uint8)


def draw_over(crop: NDArray[np.uint8], rng: Rng) -> NDArray[np.uint8]:
    """Return a crop, uint8 [S, S, 3], with noise (probability 1/5), else with lines, text or shapes."""
    return _noisy(crop, rng) if rng.random() < 0.2 else _drawn(crop, rng)


def list_pictures(folder: Path) -> list[Path]:
    """Return all pictures below a folder, sorted by name. Raises TrainingError if there are none."""
    pictures = pictures_below(folder)
    if not pictures:
        raise TrainingError(f"{folder}: no pictures found; give a folder with files such as .png or .jpg")
    return pictures


def source_of(name: str) -> str:
    """Return the source of a picture: the stem of its file name without a trailing number."""
    return re.sub(r"[-_]?\d+$", "", Path(name).stem)


def split_held_out(names: list[str], count: int = HELD_OUT) -> tuple[list[str], list[str]]:
    """Split names of pictures into training and held-out ones.

    Whole sources are held out, in hash order, as long as no more than `count` and no more than a fifth of all
    pictures are; sources that are too large are skipped. If every source is too large, as when all names are
    numbers, single pictures are held out instead.
    """
    count = min(count, len(names) // 5)
    sources: dict[str, list[str]] = {}
    for name in names:
        sources.setdefault(source_of(name), []).append(name)
    held: list[str] = []
    for source in sorted(sources, key=_hash):
        if len(held) + len(sources[source]) <= count:
            held += sources[source]
    held = held or sorted(names, key=_hash)[:count]
    chosen = set(held)
    return [n for n in names if n not in chosen], sorted(held)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _grid(width: int, height: int) -> tuple[int, int]:
    """Return the numbers of rows and columns of tiles that are cut from a picture."""
    return max(1, height // TILE), max(1, width // TILE)


def _tiles(path: Path) -> list[NDArray[np.uint8]]:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    pad = ((0, max(0, TILE - height)), (0, max(0, TILE - width)), (0, 0))
    pixels = np.pad(pixels, pad, mode="symmetric") if height < TILE or width < TILE else pixels
    rows, columns = _grid(width, height)
    return [
        pixels[r * TILE : (r + 1) * TILE, c * TILE : (c + 1) * TILE]
        for r in range(rows)
        for c in range(columns)
    ]


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnidentifiedImageError) as error:
        raise TrainingError(f"{path}: cannot be read ({error}); remove it from the folder") from error


def build_cache(folder: Path, cache: Path) -> None:
    """Decode every picture below `folder` into tiles, uint8 [N, 512, 512, 3], in the .npy file `cache`.

    The names of the tiles' pictures go to a file beside it. An existing cache is kept. Raises TrainingError.
    """
    if cache.exists() and cache.with_suffix(".names").exists():
        return
    cache.parent.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for path in list_pictures(folder):
        with _readable(path), Image.open(path) as image:
            rows, columns = _grid(*image.size)
        names += [path.relative_to(folder).as_posix()] * (rows * columns)
    partial = cache.with_suffix(".part.npy")
    stored = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(names), TILE, TILE, 3))
    index = 0
    for path in list_pictures(folder):
        with _readable(path):
            for tile in _tiles(path):
                stored[index] = tile
                index += 1
    stored.flush()
    os.replace(partial, cache)
    cache.with_suffix(".names").write_text("\n".join(names), encoding="utf-8")


class CropSource:
    """Random crops that depend only on the seed, the rank and the step, so resuming needs no state.

    cache: file of build_cache. drawn_share: probability that a crop is drawn over.
    """

    def __init__(self, cache: Path, *, seed: int, rank: int, drawn_share: float = 0.0) -> None:
        self.tiles = np.load(cache, mmap_mode="r")
        names = cache.with_suffix(".names").read_text(encoding="utf-8").split("\n")
        train, held = split_held_out(sorted(set(names)))
        wanted, kept = set(train), set(held)
        self.train = np.array([i for i, n in enumerate(names) if n in wanted])
        self.held_out = np.array([i for i, n in enumerate(names) if n in kept], dtype=np.int64)
        self.seed, self.rank, self.drawn_share = seed, rank, drawn_share

    def batch(self, step: int, count: int, size: int) -> Tensor:
        """Return the crops of a step, uint8 [count, 3, size, size], randomly flipped or drawn over."""
        rng = np.random.default_rng([self.seed, self.rank, step])
        out = np.empty((count, 3, size, size), np.uint8)
        for index in range(count):
            tile = self.tiles[rng.choice(self.train)]
            top, left = rng.integers(0, TILE - size + 1, 2)
            crop = tile[top : top + size, left : left + size]
            flips = rng.integers(0, 2, 3)
            crop = crop[:: 1 - 2 * flips[0], :: 1 - 2 * flips[1]]
            crop = crop.transpose(1, 0, 2) if flips[2] else crop
            if self.drawn_share and rng.random() < self.drawn_share:
                crop = draw_over(crop, rng)
            out[index] = crop.transpose(2, 0, 1)
        return torch.from_numpy(out)

    def pictures(self, indices: NDArray[np.int64]) -> Tensor:
        """Return whole tiles by index: uint8 [N, 3, 512, 512]."""
        return torch.from_numpy(self.tiles[indices].transpose(0, 3, 1, 2).copy())
