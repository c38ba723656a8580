from __future__ import annotations

import numpy as np
import pytest

from codec.bitstream.container import parse_container
from codec.bitstream.geometry import tile_grid
from codec.decode.decoder import Decoder
from codec.decode.symbols import decode_symbols
from codec.encode.encoder import Encoder
from codec.inference.weights import load_model


@pytest.fixture(autouse=True)
def only_learned_tiles(monkeypatch):
    """Never store a tile losslessly, even if that is smaller: these tests are about the model."""
    monkeypatch.setattr("codec.encode.tile_coder.may_pay", lambda *_: False)


@pytest.fixture(scope="session")
def encoder():
    """Return a function: quality -> an Encoder, cached."""
    made = {}

    def get(quality):
        if quality not in made:
            made[quality] = Encoder(quality, threads=2)
        return made[quality]

    return get


@pytest.fixture(scope="session")
def decode():
    """Return a function: .vae data -> samples uint8 [H, W, 3]."""
    decoder = Decoder(threads=2)
    return lambda data: np.asarray(decoder.decode(data))


@pytest.fixture(scope="session")
def psnr():
    def measure(x, x_hat):
        error = np.square(x.astype(np.float64) - x_hat).mean()
        return float(10 * np.log10(255**2 / max(error, 1e-9)))

    return measure


@pytest.fixture(scope="session")
def symbols():
    """Return a function: .vae data -> (header, [(tile, payload, symbols) of every tile])."""

    def read(data):
        container = parse_container(data)
        header = container.header
        model = load_model(header.model_id)
        tiles = tile_grid(header.width, header.height, header.tile_size)
        return header, [
            (tile, payload, decode_symbols(model, tile, payload, header.rate_index))
            for tile, payload in zip(tiles, container.tiles, strict=True)
        ]

    return read
