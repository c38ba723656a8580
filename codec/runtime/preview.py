"""Small pictures straight from the latents: box means of what g_s would give, without most of its work.

Box means of 8x8 or 16x16 pixels are linear in the patches f at 1/8, and the linear path of g_s carries nearly
all of them (the trunk changes them by about one level). So one product with a small matrix does: no trunk, no
pixels. The lapped filter is part of it: on each side of a block boundary it keeps some of a patch and gives
the rest to the other side, mirrored.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from codec.model.config import LATENT_STRIDE
from codec.model.lapped import HALF, filter_matrix
from codec.model.transforms import PATCH, Synthesis
from codec.model.weights import LoadedModel

from .transform_blocks import Block

SCALES = (PATCH, LATENT_STRIDE)
# Latent positions that a preview looks beyond the one it makes.
REACH = 1


def means(model: LoadedModel, unscaled: Tensor, block: Block, present: Tensor | None) -> Tensor:
    """Return box means of 8x8 pixels of one block, float [3, 2h, 2w], 0 for mid-gray.

    unscaled: float [1, M, rows, columns]. present: bool [rows, columns], False where there are no latents.
    """
    wide = block.grown(REACH, unscaled.shape[2], unscaled.shape[3])
    part = unscaled[:, :, wide.top : wide.bottom, wide.left : wide.right]
    here = torch.ones(part.shape[2:], dtype=torch.bool)
    if present is not None:
        here = present[wide.top : wide.bottom, wide.left : wide.right]
    # [3, y: kept or given, x: kept or given, 2h, 2w]
    shares = _unfold(F.conv2d(part, _matrix(model)[:, :, None, None]))
    shares = _exchange(shares[:, 0].transpose(-1, -2), shares[:, 1].transpose(-1, -2), here.T)
    shares = shares.transpose(-1, -2)
    whole = _exchange(shares[:, 0], shares[:, 1], here)
    top, left = 2 * (block.top - wide.top), 2 * (block.left - wide.left)
    height, width = 2 * (block.bottom - block.top), 2 * (block.right - block.left)
    inner: Tensor = whole[:, top : top + height, left : left + width]
    return inner


def preview(
    model: LoadedModel,
    unscaled: Tensor,
    block: Block,
    scale: int,
    *,
    gray: bool = False,
    present: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return one block at 1/scale, uint8 [16h/scale, 16w/scale, 3], or one channel if gray.

    As synthesise, which gives the block whole. scale: one of SCALES.
    """
    gaps = None if present is None else torch.from_numpy(np.ascontiguousarray(present))
    found = means(model, unscaled, block, gaps)
    if scale == LATENT_STRIDE:
        found = F.avg_pool2d(found, 2)
    if gray:
        found = found.mean(0, keepdim=True)
    samples: NDArray[np.uint8] = (
        found.add(0.5).mul(255).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    )
    return samples


def _exchange(kept: Tensor, given: Tensor, here: Tensor) -> Tensor:
    """Add to each patch along the last axis what it keeps and what comes over the boundary of its block.

    kept, given: float [..., 2h, 2w]. here: bool [h, w]. At an edge, and beside a gap, a patch keeps all.
    """
    across = (here[:, 1:] & here[:, :-1]).repeat_interleave(2, 0)
    left, right = given[..., 1:-1:2], given[..., 2::2]
    incoming = given.clone()
    incoming[..., 1:-1:2] = torch.where(across, right, left)
    incoming[..., 2::2] = torch.where(across, left, right)
    return kept + incoming


def _unfold(x: Tensor) -> Tensor:
    """Turn [1, 3 * 4 * 4, h, w], colour, share and place in the block, into [3, 2, 2, 2h, 2w]."""
    shares: Tensor = F.pixel_shuffle(x, 2)[0].unflatten(0, (3, 2, 2))
    return shares


@functools.lru_cache(maxsize=4)
def _matrix(model: LoadedModel) -> Tensor:
    """Return the product of the last layers of the linear path with the means, float [48, M]."""
    g_s: Synthesis = model.network.g_s
    rows: list[Tensor] = []
    with torch.inference_mode():
        patches = g_s.unpatch.weight[:, :, 0, 0].unflatten(0, (3, PATCH, PATCH))
        linear = g_s.linear.weight[:, :, 0, 0].unflatten(0, (-1, 4))
        # Of the 8 samples before a boundary: the weights in their own mean, and in that behind it.
        kept = filter_matrix()[:HALF, :HALF].mean(1)
        before = torch.stack([kept, 1 / PATCH - kept])
        for place in range(4):
            # The first patch of a block lies behind a boundary: there all is mirrored.
            y, x = (before if second else before.flip(1) for second in divmod(place, 2))
            share = torch.einsum("ay,bx,cyxf->cabf", y, x, patches).flatten(0, 2)
            rows.append(share @ linear[:, place])
        return torch.stack(rows, 1).flatten(0, 1)
