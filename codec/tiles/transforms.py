"""Run g_a and g_s over blocks of a picture with a halo as wide as their reach, so that no seam shows."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE, grid_shape, y_shape
from codec.bitstream.header import Header
from codec.image.picture import Samples
from codec.inference.scale_network import factors
from codec.inference.weights import LoadedModel
from codec.model.config import COLOURS, ModelConfig


def presence(header: Header, lossless: Collection[int], z_stride: int) -> NDArray[np.bool_] | None:
    """Return where a picture has latents, bool [rows, columns]; None if that is everywhere."""
    if not lossless:
        return None
    present = np.ones(y_shape(header.width, header.height, z_stride), bool)
    side = header.tile_size // LATENT_STRIDE
    columns = grid_shape(header.width, header.height, header.tile_size)[1]
    for index in lossless:
        top, left = (side * place for place in divmod(index, columns))
        present[top : top + side, left : left + side] = False
    return present


def has_neighbour(header: Header, index: int, others: Collection[int]) -> bool:
    """Tell whether one of the eight tiles around a tile is among others."""
    rows, columns = grid_shape(header.width, header.height, header.tile_size)
    row, column = divmod(index, columns)
    return any(
        r * columns + c in others
        for r in range(max(0, row - 1), min(rows, row + 2))
        for c in range(max(0, column - 1), min(columns, column + 2))
    )


Floats = NDArray[np.float32]
Present = NDArray[np.bool_]

# Largest side of a synthesised block in latents: its feature maps stay small, and the halo's share too.
BLOCK_ROWS, BLOCK_COLUMNS = 32, 32
# Smaller blocks would spend more on their halos than another worker gives.
LEAST_SIDE = 8


@dataclasses.dataclass(frozen=True)
class Block:
    """A rectangle in latent positions: rows top..bottom, columns left..right, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, halo: int, rows: int, columns: int) -> Block:
        """Widen by `halo` on each side, within a map of rows x columns."""
        return Block(
            max(0, self.top - halo),
            max(0, self.left - halo),
            min(rows, self.bottom + halo),
            min(columns, self.right + halo),
        )

    def within(self, outer: Block, scale: int = 1) -> NDArray[np.int64]:
        """Return where this lies in a block around it, at `scale` times the resolution: int64 [4]."""
        top, left = self.top - outer.top, self.left - outer.left
        bottom, right = self.bottom - outer.top, self.right - outer.left
        return scale * np.array([top, left, bottom, right], np.int64)

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return its part of an array [..., rows, columns]."""
        return array[..., self.top : self.bottom, self.left : self.right]


def reach(config: ModelConfig) -> int:
    """Latent positions that g_a and g_s look beyond the one they make: lapped half-block and 3x3 stacks."""
    pixels = LATENT_STRIDE // 2 + 8 * config.blocks8 + LATENT_STRIDE * config.blocks16
    return math.ceil(pixels / LATENT_STRIDE)


def padded_region(pixels: Samples, block: Block) -> Floats:
    """Cut a block out of a picture [H, W, 3], its last row and column repeated beyond the edge.

    Returns samples - 0.5, float32 [h, 3 w], where samples lie in [0, 1].
    """
    height, width = pixels.shape[:2]
    top, left = block.top * LATENT_STRIDE, block.left * LATENT_STRIDE
    bottom, right = block.bottom * LATENT_STRIDE, block.right * LATENT_STRIDE
    part = pixels[top : min(bottom, height), left : min(right, width)]
    missing = ((0, bottom - top - part.shape[0]), (0, right - left - part.shape[1]), (0, 0))
    whole = np.pad(part, missing, mode="edge") if missing[0][1] or missing[1][1] else part
    x = np.multiply(whole, np.float32(1 / 255), dtype=np.float32)
    x -= np.float32(0.5)
    return x.reshape(len(x), -1)


def analyse(
    model: LoadedModel,
    pixels: Samples,
    block: Block,
    rows: int,
    columns: int,
    rate_index: int,
    present: Present | None = None,
) -> Floats:
    """Scaled latent of one block of a picture whose latent has rows x columns: float32 [M, h, w].

    present: bool [rows, columns], False where tiles have no latents, None if all have some.
    """
    return scaled(model, analyse_unscaled(model, pixels, block, rows, columns, present), rate_index)


def scaled(model: LoadedModel, y: Floats, rate_index: int) -> Floats:
    """Put what g_a gives, float32 [M, h, w], into quantiser steps of a rate index 0..2560."""
    return np.asarray(y * factors(model.arrays["gain"], rate_index)[:, None, None])


def analyse_unscaled(
    model: LoadedModel,
    pixels: Samples,
    block: Block,
    rows: int,
    columns: int,
    present: Present | None = None,
) -> Floats:
    """As analyse, before the gains: the same for all qualities."""
    wide = block.grown(reach(model.config), rows, columns)
    # What the 3x3 convolutions at 1/16 look at.
    half = block.grown(model.config.blocks16, rows, columns)
    inputs: dict[str, NDArray[Any]] = {
        "x": padded_region(pixels, wide),
        "keep16": block.within(half),
        "keep8": half.within(wide, 2),
    }
    gaps = _gaps(present, wide)
    if gaps is not None:
        at16 = np.ascontiguousarray(half.cut(_or_all(present, rows, columns)))
        inputs |= {"at8": _mask(gaps.repeat(2, 0).repeat(2, 1)), "at16": _mask(at16)} | _windows(gaps)
    y: Floats = model.runner.run("analysis" if gaps is None else "analysis_gaps", inputs)[0][0]
    return y


def synthesis_blocks(rows: int, columns: int, workers: int) -> list[Block]:
    """Cover a latent map with blocks of about one size, one for each worker where the map is large enough."""
    down, across = math.ceil(rows / BLOCK_ROWS), math.ceil(columns / BLOCK_COLUMNS)
    # The longer side is halved, so that little of a block lies in the halo of others.
    while down * across < workers and max(rows / down, columns / across) >= 2 * LEAST_SIDE:
        if rows / down > columns / across:
            down += 1
        else:
            across += 1
    tops, lefts = _cuts(rows, down), _cuts(columns, across)
    return [
        Block(top, left, bottom, right)
        for top, bottom in itertools.pairwise(tops)
        for left, right in itertools.pairwise(lefts)
    ]


def _cuts(size: int, parts: int) -> list[int]:
    return [size * part // parts for part in range(parts + 1)]


def synthesise(
    model: LoadedModel,
    unscaled: Floats,
    block: Block,
    rate_index: int,
    *,
    gray: bool = False,
    present: Present | None = None,
) -> NDArray[np.uint8]:
    """Return one block's pixels, uint8 [16h, 16w, 3], or [16h, 16w, 1] if gray, from the unscaled latent.

    unscaled: float32 [M, rows, columns]. rate_index: the header's, 0..2560, for all tiles. gray: give the
    mean of the three channels. present: bool [rows, columns], False where tiles have no latents; None if
    all have.
    """
    rows, columns = unscaled.shape[1:]
    inputs, wide, rim = synthesis_frame(model, rows, columns, block, rate_index, present)
    inputs["y_hat"] = wide.cut(unscaled)[None]
    x = model.runner.run("synthesis_gaps" if "at8" in inputs else "synthesis", inputs)[0]
    top, left, bottom, right = block.within(rim, LATENT_STRIDE).tolist()
    samples = x.reshape(x.shape[0], -1, COLOURS)[top:bottom, left:right]
    if gray:
        samples = samples.mean(2, keepdims=True)
    return to_samples(samples)


def synthesis_frame(
    model: LoadedModel, rows: int, columns: int, block: Block, rate_index: int, present: Present | None
) -> tuple[dict[str, NDArray[Any]], Block, Block]:
    """Return what g_s takes beside y_hat to make a block, which part of the latent map, and which it makes.

    With gaps beside the block it is for `synthesis_gaps`, and `at8` is one of the inputs.
    """
    config = model.config
    wide = block.grown(reach(config), rows, columns)
    # What the 3x3 convolutions at 1/8 and the lapped filter look at, and the filter alone.
    half = block.grown(math.ceil((LATENT_STRIDE // 2 + 8 * config.blocks8) / LATENT_STRIDE), rows, columns)
    rim = block.grown(1, rows, columns)
    inputs: dict[str, NDArray[Any]] = {
        "rate16": factors(model.arrays["g_s.rate16.log_scale"], rate_index)[None, :, None, None],
        "rate8": factors(model.arrays["g_s.rate8.log_scale"], rate_index)[None, :, None, None],
        "keep16": half.within(wide),
        "keep8": rim.within(half, 2),
    }
    gaps = _gaps(present, wide)
    if gaps is not None:
        whole = _or_all(present, rows, columns)
        at8 = half.cut(whole).repeat(2, 0).repeat(2, 1)
        inputs |= {"at8": _mask(at8), "at16": _mask(gaps)} | _windows(rim.cut(whole))
    return inputs, wide, rim


def to_samples(levels: Floats) -> NDArray[np.uint8]:
    """Round levels to samples, halves to even, and clamp them."""
    rounded = np.rint(levels)
    return np.clip(rounded, 0, 255, out=rounded).astype(np.uint8)


def _gaps(present: Present | None, block: Block) -> Present | None:
    """Return which positions of a block have latents, bool [h, w]; None if all have.

    Without a boundary between blocks in some direction there is nothing to filter: that, too, is said here.
    """
    height, width = block.bottom - block.top, block.right - block.left
    if present is None:
        return np.ones((height, width), bool) if min(height, width) < 2 else None
    part: Present = block.cut(present)
    return None if part.all() and min(height, width) > 1 else np.ascontiguousarray(part)


def _or_all(present: Present | None, rows: int, columns: int) -> Present:
    return np.ones((rows, columns), bool) if present is None else present


def _mask(present: Present) -> Floats:
    return present[None, None].astype(np.float32)


def _windows(present: Present) -> dict[str, Floats]:
    """Say which boundaries lie between two blocks that are both there, as the lapped filter takes it."""
    height, width = present.shape
    columns = np.zeros((height + 1, 1, COLOURS * LATENT_STRIDE * width), np.float32)
    columns[1:-1, 0] = (present[1:] & present[:-1]).repeat(COLOURS * LATENT_STRIDE, 1)
    rows = np.zeros((LATENT_STRIDE * height, width + 1, 1), np.float32)
    rows[:, 1:-1, 0] = (present[:, 1:] & present[:, :-1]).repeat(LATENT_STRIDE, 0)
    return {"rows": rows, "columns": columns}
