"""Ways through latent space: from one picture to another, and along one channel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.bitstream.quality import rate_band
from codec.errors import UsageError
from codec.image.convert import PictureLike, load_rgb
from codec.model.quantiser import dead_zone, quantise
from codec.model.rates import rate_tensor
from codec.runtime.threads import Progress, map_ordered, worker_count
from codec.runtime.transform_blocks import Block, analyse
from codec.vae.hyperprior import walk
from codec.vae.picture_latents import synthesise_whole
from codec.vae.setting import Setting, choose

MAX_SIDE = 512


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
    """Decode `count` points between two pictures' latents, both ends included: uint8 [H, W, 3] each.

    y and z are moved together, then coded as a file would hold them. spherical: along the great arc between
    the two latents, which keeps their length. Pictures must be of one size, at most 512 pixels a side.
    Raises UsageError, UnsupportedImage or LimitExceeded.
    """
    if count < 2:
        raise UsageError("an interpolation needs at least its two ends", field="count")
    setting = choose(quality)
    start, end = _load(first), _load(second)
    if start.shape != end.shape:
        raise UsageError(
            f"pictures are of {start.shape[1]}x{start.shape[0]} and {end.shape[1]}x{end.shape[0]} pixels; "
            "scale one to the size of the other"
        )
    ends = map_ordered(lambda pixels: _latent(setting, pixels), [start, end], 1)
    between = _slerp if spherical else torch.lerp

    def frame(index: int) -> NDArray[np.uint8]:
        share = index / (count - 1)
        y, z = (between(a, b, share) for a, b in zip(*ends, strict=True))
        return _decode(setting, y, z)[: start.shape[0], : start.shape[1]]

    return map_ordered(frame, range(count), worker_count(threads), progress)


def traverse(
    image: PictureLike,
    channel: int,
    steps: Sequence[float] = (-8, -4, -2, 0, 2, 4, 8),
    *,
    quality: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[NDArray[np.uint8]]:
    """Add each of `steps`, in quantiser steps, to one channel of a picture's y everywhere, and decode.

    Returns samples uint8 [H, W, 3], one array for each step. Channels 0..M-1 are in the order of their weight
    in the picture, heaviest first. Raises UsageError, UnsupportedImage or LimitExceeded.
    """
    setting = choose(quality)
    channels = setting.model.config.m
    if not 0 <= channel < channels:
        raise UsageError(f"channel must be from 0 to {channels - 1}, not {channel}", field="channel")
    pixels = _load(image)
    (y, z) = map_ordered(lambda pixels: _latent(setting, pixels), [pixels], 1)[0]
    place = int(y.abs().mean((0, 2, 3)).argsort(descending=True)[channel])

    def frame(step: float) -> NDArray[np.uint8]:
        moved = y.clone()
        moved[:, place] += step
        return _decode(setting, moved, z)[: pixels.shape[0], : pixels.shape[1]]

    return map_ordered(frame, steps, worker_count(threads), progress)


def _load(image: PictureLike) -> NDArray[np.uint8]:
    pixels = load_rgb(image)
    if max(pixels.shape[:2]) > MAX_SIDE:
        raise UsageError(f"walks through latent space take pictures of at most {MAX_SIDE} pixels a side")
    return pixels


def _latent(setting: Setting, pixels: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
    """Scaled y and z before rounding, float [1, M, h, w] and [1, H, ., .]."""
    model = setting.model
    unit = model.config.z_stride
    rows, columns = (-(-side // unit) * unit // 16 for side in pixels.shape[:2])
    with torch.inference_mode():
        found = analyse(model, pixels, Block(0, 0, rows, columns), rows, columns, setting.rate)
        y = torch.from_numpy(found)[None]
        return y, model.network.h_a(y)


def _decode(setting: Setting, y: Tensor, z: Tensor) -> NDArray[np.uint8]:
    model, rate = setting.model, setting.rate
    coded = model.coder.tables.clamp_z(z[0].round().numpy(), rate_band(rate))
    with torch.inference_mode():
        y_hat = walk(model, coded, rate, _rounding(y)).y_hat
        unscaled = model.network.unscale_latent(y_hat, rate_tensor(rate))
    return synthesise_whole(model, unscaled[0].numpy(), rate, 1)


def _rounding(y: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    threshold = dead_zone()
    return lambda mu, level: quantise(y - mu, threshold[level])


def _slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Along the great arc between two tensors taken as one vector each; straight where they are parallel."""
    cosine = float((a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-12))
    angle = math.acos(min(max(cosine, -1.0), 1.0))
    if math.sin(angle) < 1e-4:
        return torch.lerp(a, b, share)
    return (math.sin((1 - share) * angle) * a + math.sin(share * angle) * b) / math.sin(angle)
