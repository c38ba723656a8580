"""Run g_a and g_s over blocks of a picture, with a halo as wide as their receptive field so no seam shows."""

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

Floats = NDArray[np.float32]
Present = NDArray[np.bool_]

# Largest sides of a synthesised block, in latent positions: small enough to bound its feature maps, large
# enough that the halo is a small share.
BLOCK_ROWS, BLOCK_COLUMNS = 32, 32
# The halo of a smaller block costs more than another worker gains.
LEAST_SIDE = 8


@dataclasses.dataclass(frozen=True)
class Block:
    """A rectangle in latent positions: rows top..bottom, columns left..right, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, halo: int, rows: int, columns: int) -> Block:
        """Return the block widened by `halo` on each side, clipped to a map of rows x columns."""
        return Block(
            max(0, self.top - halo),
            max(0, self.left - halo),
            min(rows, self.bottom + halo),
            min(columns, self.right + halo),
        )

    def within(self, outer: Block, scale: int = 1) -> NDArray[np.int64]:
        """Return top, left, bottom, right relative to an outer block, times `scale`: int64 [4]."""
        top, left = self.top - outer.top, self.left - outer.left
        bottom, right = self.bottom - outer.top, self.right - outer.left
        return scale * np.array([top, left, bottom, right], np.int64)

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the block's part of an array [..., rows, columns]."""
        return array[..., self.top : self.bottom, self.left : self.right]


def reach(config: ModelConfig) -> int:
    """Return the receptive field of g_a and g_s on each side of a latent position, in latent positions.

    It adds up half a block of the lapped filter and the stacks of 3x3 convolutions at 1/8 and 1/16.
    """
    pixels = LATENT_STRIDE // 2 + 8 * config.blocks8 + LATENT_STRIDE * config.blocks16
    return math.ceil(pixels / LATENT_STRIDE)


def presence(header: Header, lossless: Collection[int], z_stride: int) -> Present | None:
    """Return a mask of the positions that have latents, bool [rows, columns]; None if all have.

    lossless: indices of the tiles that are stored losslessly and so have none.
    """
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
    """Return True if one of the eight tiles around tile `index`, or the tile itself, is among others."""
    rows, columns = grid_shape(header.width, header.height, header.tile_size)
    row, column = divmod(index, columns)
    return any(
        r * columns + c in others
        for r in range(max(0, row - 1), min(rows, row + 2))
        for c in range(max(0, column - 1), min(columns, column + 2))
    )


def padded_region(pixels: Samples, block: Block) -> Floats:
    """Cut a block out of a picture [H, W, 3]; beyond its edge the last row and column repeat.

    Return the samples scaled to [-0.5, 0.5], float32 [16h, 48w]: the three channels of a pixel are adjacent.
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
    """Return the scaled latent of one block, float32 [M, h, w].

    pixels: the whole picture, [H, W, 3]. rows, columns: size of its latent map. rate_index: 0..2560.
    present: bool [rows, columns], False where tiles have no latents; None if all have.
    """
    return scaled(model, analyse_unscaled(model, pixels, block, rows, columns, present), rate_index)


def scaled(model: LoadedModel, y: Floats, rate_index: int) -> Floats:
    """Scale the output of g_a, float32 [M, h, w], to quantiser steps at a rate index 0..2560."""
    return np.asarray(y * factors(model.arrays["gain"], rate_index)[:, None, None])


def analyse_unscaled(
    model: LoadedModel,
    pixels: Samples,
    block: Block,
    rows: int,
    columns: int,
    present: Present | None = None,
) -> Floats:
    """Return what analyse returns before the gains, which are all that depends on the rate index."""
    wide = block.grown(reach(model.config), rows, columns)
    # Input of the 3x3 convolutions at 1/16.
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
    """Divide a latent map into blocks of similar size, in raster order.

    A block has at most BLOCK_ROWS x BLOCK_COLUMNS positions. There is at least one for each worker unless the
    map is too small for that.
    """
    down, across = math.ceil(rows / BLOCK_ROWS), math.ceil(columns / BLOCK_COLUMNS)
    # Cut the longer side, so that blocks stay near square and their halos small.
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

    unscaled: float32 [M, rows, columns]. rate_index: the header's, 0..2560, the same for all tiles. gray:
    return the mean of the three channels. present: bool [rows, columns], False where tiles have no latents;
    None if all have.
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
    """Return the inputs of g_s for a block except y_hat, the block that g_s reads, and the one it outputs.

    If positions near the block have no latents, the inputs are those of graph `synthesis_gaps` and include
    `at8`, else those of `synthesis`.
    """
    config = model.config
    wide = block.grown(reach(config), rows, columns)
    # Input of the 3x3 convolutions at 1/8 with the lapped filter, and of the filter alone.
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
    """Return which positions of a block have latents, bool [h, w], or None if the plain graphs apply.

    They apply if all positions have latents and there are block boundaries to filter in both directions.
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
    """Return masks of the boundaries between two positions with latents, as inputs of the lapped filter."""
    height, width = present.shape
    columns = np.zeros((height + 1, 1, COLOURS * LATENT_STRIDE * width), np.float32)
    columns[1:-1, 0] = (present[1:] & present[:-1]).repeat(COLOURS * LATENT_STRIDE, 1)
    rows = np.zeros((LATENT_STRIDE * height, width + 1, 1), np.float32)
    rows[:, 1:-1, 0] = (present[:, 1:] & present[:, :-1]).repeat(LATENT_STRIDE, 0)
    return {"rows": rows, "columns": columns}
