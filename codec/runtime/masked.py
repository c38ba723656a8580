"""g_a and g_s where some tiles have no latents: their neighbours see them as they see the picture's edge.

Every convolution that looks across finds zeros there, and the lapped filter stops short of them (FORMAT.md
section 9.3). With nothing missing this is what the networks' own forward passes compute.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codec.model.blocks import Bottleneck, act
from codec.model.lapped import BLOCK, HALF, filter_matrix
from codec.model.transforms import PATCH, Analysis, Synthesis


def analysis(g_a: Analysis, x: Tensor, present: Tensor) -> Tensor:
    """g_a with gaps. x: float [1, 3, 16h, 16w]; present: bool [h, w] -> y: float [1, M, h, w]."""
    at16, at8 = _masks(present)
    f = g_a.patch(_lap(x - 0.5, present))
    h = _trunk(g_a.blocks8, act(g_a.in8(f)), at8)
    h = _trunk(g_a.blocks16, act(g_a.in16(F.pixel_unshuffle(h, 2))), at16)
    y: Tensor = g_a.linear(F.pixel_unshuffle(f, 2)) + g_a.out(h)
    return y


def synthesis(g_s: Synthesis, y_hat: Tensor, rate: Tensor, present: Tensor) -> Tensor:
    """g_s with gaps. y_hat: float [1, M, h, w]; present: bool [h, w] -> x_hat: float [1, 3, 16h, 16w]."""
    at16, at8 = _masks(present)
    h = _trunk(g_s.blocks16, g_s.rate16(act(g_s.in16(y_hat)), rate), at16)
    h = _trunk(g_s.blocks8, g_s.rate8(act(F.pixel_shuffle(g_s.in8(h), 2)), rate), at8)
    f = F.pixel_shuffle(g_s.linear(y_hat), 2) + g_s.out(h)
    return _unlap(F.pixel_shuffle(g_s.unpatch(f), PATCH), present) + 0.5


def _masks(present: Tensor) -> tuple[Tensor, Tensor]:
    """Factors 0 and 1 at 1/16 and at 1/8: float [1, 1, h, w] and [1, 1, 2h, 2w]."""
    at16 = present.float()[None, None]
    return at16, at16.repeat_interleave(2, 2).repeat_interleave(2, 3)


def _trunk(blocks: nn.Sequential, x: Tensor, mask: Tensor) -> Tensor:
    """Bottlenecks whose 3x3 convolution, the one part that looks across, finds zeros in the gaps."""
    for block in blocks:
        if not isinstance(block, Bottleneck):
            raise TypeError(f"a trunk holds bottlenecks, not {type(block).__name__}")
        x = x + block.expand(act(block.mix(mask * act(block.reduce(x)))))
    return x


def _lap(x: Tensor, present: Tensor) -> Tensor:
    matrix = filter_matrix().to(x)
    return _along_columns(_along_rows(x, matrix, present), matrix, present)


def _unlap(x: Tensor, present: Tensor) -> Tensor:
    matrix = filter_matrix().to(x).T
    return _along_rows(_along_columns(x, matrix, present), matrix, present)


def _along_columns(x: Tensor, matrix: Tensor, present: Tensor) -> Tensor:
    return _along_rows(x.transpose(2, 3), matrix, present.T).transpose(2, 3)


def _along_rows(x: Tensor, matrix: Tensor, present: Tensor) -> Tensor:
    """Filter each row of x [1, C, 16h, 16w] across the boundaries between two blocks that are both there."""
    width = x.shape[3]
    if width <= BLOCK:
        return x
    windows = x.narrow(3, HALF, width - BLOCK).unflatten(3, (width // BLOCK - 1, BLOCK))
    both = (present[:, 1:] & present[:, :-1]).repeat_interleave(BLOCK, 0)[None, None, :, :, None]
    filtered = torch.where(both, torch.einsum("oi,bchni->bchno", matrix, windows), windows).flatten(3, 4)
    return torch.cat([x.narrow(3, 0, HALF), filtered, x.narrow(3, width - HALF, HALF)], 3)
