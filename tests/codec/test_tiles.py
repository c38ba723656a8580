"""Tiles are coded independently, and no seam may show."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codec.bitstream.geometry import LATENT_STRIDE
from codec.inference.weights import load_model
from codec.networks.layers import rate_point_tensor
from codec.networks.network import float_network
from codec.tiles.quantise import dequantise_tile


@pytest.fixture(scope="module")
def shifted(photo):
    """A picture of two tiles, and the same without its first 128 columns, which moves the border."""
    whole = photo(832, 224)
    return whole, np.ascontiguousarray(whole[:, 128:])


@pytest.mark.parametrize("quality", [10, 75])
def test_equals_one_synthesis_of_the_joined_latents(photo, encoder, decode, symbols, quality):
    x = photo(640, 544)
    data = encoder(quality).encode(x)
    header, tiles = symbols(data)
    assert len(tiles) == 4
    model = load_model(header.model_id)
    y_hat = torch.full((1, model.config.m, 544 // LATENT_STRIDE, 640 // LATENT_STRIDE), torch.nan)
    with torch.inference_mode():
        for tile, payload, decoded in tiles:
            part = dequantise_tile(model, decoded, payload.rate_index(header.rate_index))
            top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
            y_hat[0, :, top : top + part.shape[1], left : left + part.shape[2]] = torch.from_numpy(part)
        whole = (
            float_network(model).g_s(y_hat, rate_point_tensor(header.rate_index))[0].mul(255).clamp(0, 255)
        )
    # Rounding to levels costs half a level; a different order of float sums far less.
    difference = whole.permute(1, 2, 0).numpy() - decode(data)
    assert np.abs(difference).max() <= 0.51


@pytest.mark.parametrize("quality", [5, 30, 75])
def test_quality_is_the_same_at_a_tile_border(encoder, decode, shifted, quality):
    """Columns along a tile border have the PSNR that they have inside a tile."""
    whole, part = shifted
    errors = [
        np.square(decode(encoder(quality).encode(x)).astype(float) - x).mean((0, 2)) for x in (whole, part)
    ]
    errors[1] = np.concatenate([np.full(128, np.nan), errors[1]])
    at_512 = [e[496:528].mean() for e in errors]
    at_640 = [e[624:656].mean() for e in errors]
    assert at_512[0] < 1.15 * at_512[1]
    assert at_640[1] < 1.15 * at_640[0]


def test_no_step_across_a_border(encoder, decode, shifted):
    """The error of the difference between neighbouring columns is no larger at a tile border."""
    whole, _ = shifted
    residual = decode(encoder(10).encode(whole)).astype(float) - whole
    steps = np.square(np.diff(residual, axis=1)).mean((0, 2))
    # Every sixteenth difference crosses a boundary of cells, with or without a tile border.
    at_latents = np.delete(steps[15::16], 512 // 16 - 1)
    assert steps[511] < 1.5 * at_latents.max()
