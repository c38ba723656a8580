"""g_a and g_s over part of a picture, with a halo as wide as their reach, so that no seam shows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.image.picture import Samples
from codec.model.config import LATENT_STRIDE, ModelConfig
from codec.model.weights import LoadedModel

from . import masked
from .latents import rate_tensor

# Largest side of a synthesised block in latents: its feature maps stay small, and the halo's share too.
BLOCK_ROWS, BLOCK_COLUMNS = 32, 32


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


def reach(config: ModelConfig) -> int:
    """Latent positions that g_a and g_s look beyond the one they make: lapped half-block and 3x3 stacks."""
    pixels = LATENT_STRIDE // 2 + 8 * config.blocks8 + LATENT_STRIDE * config.blocks16
    return math.ceil(pixels / LATENT_STRIDE)


def padded_region(pixels: Samples, block: Block) -> Tensor:
    """Cut a block out of a picture [H, W, 3], its last row and column repeated beyond the edge.

    Returns float [1, 3, h, w] in [0, 1].
    """
    height, width = pixels.shape[:2]
    top, left = block.top * LATENT_STRIDE, block.left * LATENT_STRIDE
    bottom, right = block.bottom * LATENT_STRIDE, block.right * LATENT_STRIDE
    part = pixels[top : min(bottom, height), left : min(right, width)]
    missing = ((0, bottom - top - part.shape[0]), (0, right - left - part.shape[1]), (0, 0))
    # Without padding a copy all the same: torch warns of arrays that it could write to but must not.
    whole = np.pad(part, missing, mode="edge") if missing[0][1] or missing[1][1] else np.array(part)
    x = torch.from_numpy(whole).permute(2, 0, 1)[None]
    return x.contiguous(memory_format=torch.channels_last).float().div_(255)


def analyse(
    model: LoadedModel,
    pixels: Samples,
    block: Block,
    rows: int,
    columns: int,
    quality: int,
    present: NDArray[np.bool_] | None = None,
) -> Tensor:
    """Scaled latent of one block of a picture whose latent has rows x columns: float [1, M, h, w].

    present: bool [rows, columns], False where tiles have no latents; None if all have.
    """
    wide = block.grown(reach(model.config), rows, columns)
    x, gaps = padded_region(pixels, wide), _gaps(present, wide)
    y = model.network.g_a(x) if gaps is None else masked.analysis(model.network.g_a, x, gaps)
    inner = y[
        :, :, block.top - wide.top : block.bottom - wide.top, block.left - wide.left : block.right - wide.left
    ]
    return model.network.scale_latent(inner, rate_tensor(quality)).contiguous(
        memory_format=torch.channels_last
    )


def synthesis_blocks(rows: int, columns: int, workers: int) -> list[Block]:
    """Cover a latent map with blocks, at least one for each worker where the map is large enough."""
    height = max(8, min(BLOCK_ROWS, math.ceil(rows / workers)))
    return [
        Block(top, left, min(top + height, rows), min(left + BLOCK_COLUMNS, columns))
        for top in range(0, rows, height)
        for left in range(0, columns, BLOCK_COLUMNS)
    ]


def synthesise(
    model: LoadedModel,
    unscaled: Tensor,
    block: Block,
    quality: int,
    *,
    gray: bool = False,
    present: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return one block's pixels, uint8 [16h, 16w, 3], or [16h, 16w, 1] if gray, from the unscaled latent.

    unscaled: float [1, M, rows, columns]. quality: the header's, 0..1792, for all tiles. gray: give the mean
    of the three channels. present: bool [rows, columns], False where tiles have no latents; None if all have.
    """
    wide = block.grown(reach(model.config), unscaled.shape[2], unscaled.shape[3])
    part = unscaled[:, :, wide.top : wide.bottom, wide.left : wide.right]
    part, gaps = part.contiguous(memory_format=torch.channels_last), _gaps(present, wide)
    if gaps is None:
        x_hat = model.network.g_s(part, rate_tensor(quality))
    else:
        x_hat = masked.synthesis(model.network.g_s, part, rate_tensor(quality), gaps)
    top, left = (block.top - wide.top) * LATENT_STRIDE, (block.left - wide.left) * LATENT_STRIDE
    height, width = (block.bottom - block.top) * LATENT_STRIDE, (block.right - block.left) * LATENT_STRIDE
    inner = x_hat[0, :, top : top + height, left : left + width]
    if gray:
        inner = inner.mean(0, keepdim=True)
    scaled: NDArray[np.uint8] = (
        inner.mul(255).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    )
    return scaled


def _gaps(present: NDArray[np.bool_] | None, block: Block) -> Tensor | None:
    """Return which positions of a block have latents, bool [h, w]; None if all have."""
    if present is None:
        return None
    part = present[block.top : block.bottom, block.left : block.right]
    return None if part.all() else torch.from_numpy(np.ascontiguousarray(part))
