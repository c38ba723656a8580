"""Transforms of blocks with a halo equal the transform of the whole picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from codec.inference.folding import float_weights
from codec.inference.graphs import Architecture
from codec.inference.torch_backend import TorchRunner
from codec.inference.weights import LoadedModel
from codec.model.config import ModelConfig
from codec.networks.layers import rate_point_tensor
from codec.networks.network import Network, float_network
from codec.tiles.transforms import (
    BLOCK_COLUMNS,
    BLOCK_ROWS,
    Block,
    analyse,
    padded_region,
    reach,
    synthesis_blocks,
    synthesise,
)

BLOCKS = [Block(0, 0, 4, 4), Block(4, 6, 8, 8), Block(6, 0, 7, 12), Block(0, 0, 12, 12)]


@pytest.fixture(scope="module", params=[(1, 1), (2, 1), (0, 2)])
def small(request):
    """A small model with large 3x3 kernels, so that every sample within reach has an effect."""
    blocks8, blocks16 = request.param
    config = ModelConfig(c8=8, c16=8, m=8, h=4, hyper=8, blocks8=blocks8, blocks16=blocks16)
    torch.manual_seed(1)
    network = Network(config).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.normal_(0, 1 / np.sqrt(module.weight[0].numel()))
    arrays = {name: p.detach().numpy() for name, p in network.named_parameters()}
    weights = float_weights({f"network.{name}": value for name, value in arrays.items()})
    runner = TorchRunner(Architecture(config, config.scale_layers, config.context_layers), weights)
    # The transforms use neither tables nor scales.
    return LoadedModel(b"test", config, arrays, runner, scale=None, coder=None)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("block", "size"),
    [(Block(0, 0, 1, 1), (16, 16)), (Block(0, 0, 2, 2), (1, 1)), (Block(1, 0, 3, 2), (17, 31))],
)
def test_region_repeats_the_last_row_and_column(block, size):
    pixels = noise(*size)
    x = padded_region(pixels, block)
    rows = np.minimum(np.arange(16 * block.top, 16 * block.bottom), size[0] - 1)
    columns = np.minimum(np.arange(16 * block.left, 16 * block.right), size[1] - 1)
    expected = pixels[rows][:, columns]
    assert x.dtype == np.float32
    assert np.abs((x + 0.5) * 255 - expected.reshape(x.shape)).max() < 1e-4


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (31, 33), (97, 200), (512, 2)])
@pytest.mark.parametrize("workers", [1, 2, 3, 64])
def test_synthesis_blocks_cover_once(size, workers):
    covered = np.zeros(size, int)
    for block in synthesis_blocks(*size, workers):
        assert 0 < block.bottom - block.top <= BLOCK_ROWS
        assert 0 < block.right - block.left <= BLOCK_COLUMNS
        covered[block.top : block.bottom, block.left : block.right] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("block", BLOCKS)
def test_analysis_of_a_block(small, block):
    pixels = noise(180, 190)
    whole = padded_region(pixels, Block(0, 0, 12, 12)).reshape(192, 192, 3) + np.float32(0.5)
    y = float_network(small).g_a(torch.from_numpy(whole).permute(2, 0, 1)[None])
    part = analyse(small, pixels, block, 12, 12, 0)
    whole = float_network(small).scale_latent(y, rate_point_tensor(0))
    expected = whole[0, :, block.top : block.bottom, block.left : block.right].numpy()
    assert np.abs(part - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("block", BLOCKS)
def test_synthesis_of_a_block(small, block):
    y_hat = 0.2 * torch.randn(1, 8, 12, 12, generator=torch.Generator().manual_seed(2))
    whole = (
        float_network(small)
        .g_s(y_hat, rate_point_tensor(700))[0]
        .mul(255)
        .clamp(0, 255)
        .permute(1, 2, 0)
        .numpy()
    )
    assert ((whole > 0) & (whole < 255)).mean() > 0.3
    part = synthesise(small, y_hat[0].numpy(), block, 700)
    expected = whole[16 * block.top : 16 * block.bottom, 16 * block.left : 16 * block.right]
    # Rounding to levels changes at most half a level.
    assert np.abs(part - expected).max() <= 0.501


def test_reach_is_needed(small):
    """A change at the limit of the reach changes a block, so that a shorter halo would fail."""
    halo = reach(small.config)
    y_hat = torch.zeros(1, 8, 1, 24)
    moved = y_hat.clone()
    moved[..., 12 + halo - 1] = 50
    difference = float_network(small).g_s(moved, rate_point_tensor(0)) - float_network(small).g_s(
        y_hat, rate_point_tensor(0)
    )
    columns = np.flatnonzero(difference[0].abs().amax((0, 1)).numpy() > 1e-5)
    assert columns.min() // 16 <= 12
    assert columns.min() // 16 >= 11
