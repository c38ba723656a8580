"""Compute previews from the latents: box means of the output of g_s without most of its work.

Box means of 8x8 or 16x16 pixels are linear in the features at 1/8, and the linear path of g_s determines
nearly all of them (the trunk changes them by about one level). One product with a small matrix is therefore
enough; neither the trunk nor pixels are computed. The matrix includes the lapped filter: on each side of a
block boundary the filter keeps part of a patch and moves the rest to the other side, mirrored.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from codec.bitstream.geometry import LATENT_STRIDE
from codec.inference.weights import LoadedModel
from codec.model.config import PATCH
from codec.model.lapped_filter import HALF
from codec.tiles.transforms import Block, to_samples

Floats = NDArray[np.float32]

# Factors by which a preview is smaller than the picture.
SCALES = (PATCH, LATENT_STRIDE)
# Receptive field of a preview beyond its own position, in latent positions.
REACH = 1


def means(model: LoadedModel, unscaled: Floats, block: Block, present: NDArray[np.bool_] | None) -> Floats:
    """Return box means of 8x8 pixels of one block, float32 [3, 2h, 2w], 0 for mid-gray.

    unscaled: float32 [M, rows, columns]. present: bool [rows, columns], False where there are no latents.
    """
    wide = block.grown(REACH, *unscaled.shape[1:])
    part = wide.cut(unscaled)
    height, width = part.shape[1:]
    here = np.ones((height, width), bool) if present is None else wide.cut(present)
    # einsum rather than a matrix product, for which numpy would start threads of its own.
    product = np.einsum("om,mn->on", _matrix(model), part.reshape(len(part), -1))
    # [3, y: kept, given or rest, x: likewise, 2h, 2w]
    shares = product.reshape(3, 3, 3, 2, 2, height, width).transpose(0, 1, 2, 5, 3, 6, 4)
    shares = shares.reshape(3, 3, 3, 2 * height, 2 * width).swapaxes(-1, -2)
    shares = _exchange(shares, here.T).swapaxes(-1, -2)
    top, left, bottom, right = block.within(wide, 2).tolist()
    return _exchange(shares, here)[:, top:bottom, left:right]


def preview(
    model: LoadedModel,
    unscaled: Floats,
    block: Block,
    scale: int,
    *,
    gray: bool = False,
    present: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return one block at 1/scale, uint8 [16h/scale, 16w/scale, 3], or one channel if gray.

    scale: one of SCALES. The other arguments are those of synthesise, which returns the block at full size.
    """
    boxes = means(model, unscaled, block, present)
    if scale == LATENT_STRIDE:
        count, height, width = boxes.shape
        boxes = boxes.reshape(count, height // 2, 2, width // 2, 2).mean((2, 4))
    if gray:
        boxes = boxes.mean(0, keepdims=True)
    return to_samples((boxes + np.float32(0.5)) * np.float32(255)).transpose(1, 2, 0)


def _exchange(shares: Floats, here: NDArray[np.bool_]) -> Floats:
    """Return for each patch along the last axis what it keeps plus what crosses its block's boundary.

    shares: float [3, 3: kept, given, rest, ..., 2h, 2w]. here: bool [h, w], where there are latents. At an
    edge, and next to a position without latents, a patch also keeps its own rest.
    """
    kept, given, incoming = shares[:, 0], shares[:, 1], shares[:, 2].copy()
    across = (here[:, 1:] & here[:, :-1]).repeat(2, 0)
    for mine, other in ((np.s_[..., 1:-1:2], np.s_[..., 2::2]), (np.s_[..., 2::2], np.s_[..., 1:-1:2])):
        incoming[mine] = np.where(across, given[other], incoming[mine])
    return kept + incoming


@functools.lru_cache(maxsize=4)
def _matrix(model: LoadedModel) -> Floats:
    """Return the last layers of the linear path times the averaging, float32 [108, M]."""
    patches = model.arrays["g_s.unpatch.weight"][:, :, 0, 0]
    patches = patches.reshape(3, PATCH, PATCH, -1)
    linear = model.arrays["g_s.linear.weight"][:, :, 0, 0]
    linear = linear.reshape(-1, 4, linear.shape[1])
    # Weights of the 8 samples before a boundary in their own mean, and in the mean after the boundary.
    shares = model.arrays["g_s.unlap.matrix"][:, :HALF]
    kept, given = shares[:HALF].mean(0), shares[HALF:].mean(0)
    before = np.stack([kept, given, 1 / PATCH - kept])
    rows: list[Floats] = []
    for place in range(4):
        # The first patch of a block follows a boundary, so its weights are mirrored.
        y, x = (before if second else before[:, ::-1] for second in divmod(place, 2))
        share = np.einsum("ay,bx,cyxf->cabf", y, x, patches).reshape(-1, patches.shape[-1])
        rows.append(share @ linear[:, place])
    stacked: Floats = np.stack(rows, 1).reshape(-1, linear.shape[2]).astype(np.float32)
    return stacked
