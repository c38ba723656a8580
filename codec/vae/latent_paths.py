"""Interpolate between the latents of two pictures, and traverse one channel."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.rate_index import nearest_rate_point
from codec.encode.tile_coder import tile_latent
from codec.errors import UsageError
from codec.image.load import ConversionWarning, PictureLike, RgbArray, load_rgb
from codec.inference.scale_network import TILE
from codec.inference.threads import Progress, map_ordered, worker_count
from codec.tiles.quantise import Floats, TileSymbols, hyper_latents, nearest, quantise_given
from codec.vae.picture_latents import PictureLatents, Setting, choose, decode_latents

# If the sine of the angle between two latents is smaller, spherical interpolation becomes linear.
LEAST_SINE = 1e-4


class TileLatent(NamedTuple):
    """A tile's latents before rounding: y in quantiser steps, float32 [M, h, w]; z, float32 [H, hz, wz]."""

    y: Floats
    z: Floats


# (index of a frame, index of a tile) -> latents of that tile in that frame.
Move: TypeAlias = Callable[[int, int], TileLatent]


def interpolate(
    first: PictureLike,
    second: PictureLike,
    count: int = 9,
    *,
    spherical: bool = False,
    quality: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[NDArray[np.uint8]]:
    """Decode `count` points between the latents of two pictures, both ends included: uint8 [H, W, 3] each.

    y and z are interpolated together, then quantised as in a file. spherical: interpolate along the great
    arc, which preserves the norm, instead of linearly. If the sizes differ, the larger picture is cut around
    its middle to the shape of the smaller one and scaled to its size, with a ConversionWarning. Raises
    UsageError, UnsupportedImage or LimitExceeded.
    """
    return list(
        interpolation(
            first, second, count, spherical=spherical, quality=quality, threads=threads, progress=progress
        )
    )


def interpolation(
    first: PictureLike,
    second: PictureLike,
    count: int,
    *,
    spherical: bool = False,
    quality: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of `interpolate` one by one, for numbers of frames that do not fit in memory."""
    if count < 2:
        raise UsageError("count must be at least 2, for the two ends", field="count")
    setting, workers = choose(quality), worker_count(threads)
    pictures = _of_one_size(load_rgb(first), load_rgb(second))
    start, end = (_latents(setting, pixels, workers) for pixels in pictures)
    between = [_arc([a[part] for a in start], [b[part] for b in end], spherical) for part in (0, 1)]

    def move(index: int, tile: int) -> TileLatent:
        share = index / (count - 1)
        return TileLatent(*(way(start[tile][i], end[tile][i], share) for i, way in enumerate(between)))

    return _frames(setting, pictures[0].shape, count, move, workers, progress)


def traverse(
    image: PictureLike,
    channel: int,
    steps: Sequence[float] = (-8, -4, -2, 0, 2, 4, 8),
    *,
    quality: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[NDArray[np.uint8]]:
    """Decode a picture with each of `steps`, in quantiser steps, added to one channel of y.

    Return one array uint8 [H, W, 3] for each step. Channels 0..M-1 are ordered by their sum of magnitudes in
    the picture, largest first. Raises UsageError, UnsupportedImage or LimitExceeded.
    """
    return list(traversal(image, channel, steps, quality=quality, threads=threads, progress=progress))


def traversal(
    image: PictureLike,
    channel: int,
    steps: Sequence[float],
    *,
    quality: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of `traverse` one by one."""
    setting, workers = choose(quality), worker_count(threads)
    channels = setting.model.config.m
    if not 0 <= channel < channels:
        raise UsageError(f"channel must be from 0 to {channels - 1}, not {channel}", field="channel")
    pixels = load_rgb(image)
    start = _latents(setting, pixels, workers)
    weight = np.sum([np.abs(tile.y).sum((1, 2), dtype=np.float64) for tile in start], 0)
    place = int(np.argsort(-weight, kind="stable")[channel])

    def move(index: int, tile: int) -> TileLatent:
        moved = start[tile].y.copy()
        moved[place] += np.float32(steps[index])
        return start[tile]._replace(y=moved)

    return _frames(setting, pixels.shape, len(steps), move, workers, progress)


def _of_one_size(first: RgbArray, second: RgbArray) -> tuple[RgbArray, RgbArray]:
    """Return two pictures [H, W, 3] of one size: the one with more pixels is cut and scaled to the other."""
    if first.shape == second.shape:
        return first, second
    pictures = [first, second]
    larger = int(second.size >= first.size)
    (height, width), (to_height, to_width) = pictures[larger].shape[:2], pictures[1 - larger].shape[:2]
    cut = "" if width * to_height == height * to_width else "cut around its middle and "
    warnings.warn(
        f"the {('first', 'second')[larger]} picture, of {width}x{height} pixels, is {cut}scaled to the "
        f"{to_width}x{to_height} of the other",
        ConversionWarning,
        stacklevel=3,
    )
    scaled = ImageOps.fit(Image.fromarray(pictures[larger]), (to_width, to_height), Image.Resampling.LANCZOS)
    pictures[larger] = np.array(scaled)
    return pictures[0], pictures[1]


def _latents(setting: Setting, pixels: RgbArray, workers: int) -> list[TileLatent]:
    """Return the latents of a picture [H, W, 3] tile by tile, in file order."""

    def find(tile: Tile) -> TileLatent:
        y = tile_latent(setting.model, pixels, tile, setting.rate_index)
        return TileLatent(y, hyper_latents(setting.model, y))

    return map_ordered(find, tile_grid(pixels.shape[1], pixels.shape[0], TILE), workers)


def _frames(
    setting: Setting,
    shape: tuple[int, ...],
    count: int,
    move: Move,
    workers: int,
    progress: Progress | None,
) -> Iterator[NDArray[np.uint8]]:
    """Decode `count` frames, uint8 [H, W, 3], several at a time if a frame has fewer tiles than workers."""
    height, width = shape[:2]
    n_tiles = len(tile_grid(width, height, TILE))
    together = max(1, workers // n_tiles)
    each = workers // together

    def frame(index: int) -> NDArray[np.uint8]:
        code = functools.partial(_code, setting, move, index)
        symbols = map_ordered(code, range(n_tiles), each)
        latents = PictureLatents(width, height, setting.rate_index, tuple(symbols))
        return decode_latents(setting.model, latents, threads=each)

    for start in range(0, count, together):
        group = range(start, min(start + together, count))
        for index, pixels in zip(group, map_ordered(frame, group, together), strict=True):
            yield pixels
            if progress is not None:
                progress(index + 1, count)


def _code(setting: Setting, move: Move, index: int, tile: int) -> TileSymbols:
    """Return the symbols of one tile of one frame, as in a file."""
    y, z = move(index, tile)
    coded = setting.model.coder.tables.clamp_z(np.rint(z), nearest_rate_point(setting.rate_index))
    return quantise_given(setting.model, coded, y, setting.rate_index, nearest)


def _arc(
    first: Sequence[Floats], second: Sequence[Floats], spherical: bool
) -> Callable[[Floats, Floats, float], Floats]:
    """Return a function that interpolates between two latents tile by tile, linearly or spherically.

    first, second: the tiles of both. The angle of the arc is that between the vectors of all tiles.
    """
    angle = _angle(first, second) if spherical else 0.0

    def between(a: Floats, b: Floats, share: float) -> Floats:
        if math.sin(angle) < LEAST_SINE:
            return np.asarray((1 - share) * a + share * b)
        return np.asarray((math.sin((1 - share) * angle) * a + math.sin(share * angle) * b) / math.sin(angle))

    return between


def _angle(first: Sequence[Floats], second: Sequence[Floats]) -> float:
    def dot(left: Sequence[Floats], right: Sequence[Floats]) -> float:
        return sum(float(np.sum(a * b, dtype=np.float64)) for a, b in zip(left, right, strict=True))

    cosine = dot(first, second) / max(math.sqrt(dot(first, first) * dot(second, second)), 1e-12)
    return math.acos(min(max(cosine, -1.0), 1.0))
