from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import codec
from codec.bitstream.container import parse_container, write_container
from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.header import Header
from codec.bitstream.rate_index import MAX_RATE_INDEX
from codec.bitstream.tile_payloads import FLAG_LIFT, TilePayload, parse_tile
from codec.decode.symbols import decode_symbols
from codec.encode.tile_coder import encode_tile, tile_symbols
from codec.entropy.coder import symbol_crc
from codec.inference.weights import load_model
from codec.model.index import default_model_id, model_entry, to_rate_index
from codec.tiles.quantise import quantise_tile
from codec.tiles.transforms import Block, analyse

SIZES = [
    (1, 1),
    (2, 2),
    (1, 257),
    (257, 1),
    (3, 5),
    (31, 37),
    (63, 65),
    (64, 64),
    (8192, 16),
    (513, 511),
    (700, 1100),
]
COLOURS = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 90), (0, 0, 255), (255, 255, 0)]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_photo_of_any_size(photo, encoder, decode, psnr, size):
    x = photo(*size)
    data = encoder(90).encode(x)
    x_hat = decode(data)
    assert x_hat.shape == x.shape
    # Of a few pixels, a better learned part takes more bytes than their error is worth.
    assert psnr(x, x_hat) > (33 if x.size > 100 else 31)
    record = codec.info(data)
    assert (record.width, record.height, record.tile_size) == (*size, 512)
    assert record.tiles == -(-size[0] // 512) * -(-size[1] // 512)
    assert record.model_id == default_model_id().hex()
    assert record.quality == pytest.approx(90, abs=0.1)
    assert record.rate_index == to_rate_index(90, model_entry(default_model_id()))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("size", [(1, 1), (90, 70)])
def test_flat_picture(encoder, decode, colour, size):
    x = np.full((size[1], size[0], 3), colour, np.uint8)
    data = encoder(90).encode(x)
    assert np.abs(decode(data).astype(int) - x).max() <= 16
    assert len(data) < 44 + 500


def same(decoded, made):
    arrays = [(getattr(s, n) for n in ("z", "r", "scale_index")) for s in (decoded, made)]
    return decoded.lift == made.lift and all(map(np.array_equal, *arrays))


@pytest.mark.parametrize("quality", [0, 50, 88, 94])
def test_symbols_of_noise_survive(encoder, decode, symbols, quality):
    """Noise is unlike any photograph; its symbols must survive, its quality is not tested."""
    x = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    data = encoder(quality).encode(x)
    header, [(tile, payload, decoded)] = symbols(data)
    model = load_model(header.model_id)
    own = payload.rate_index(model.config.base_rate_index(header.rate_index))
    assert same(decoded, tile_symbols(model, x, tile, own))
    assert decode(data).shape == x.shape


def test_residuals_outside_the_tables_survive():
    """At the highest rate noise has such residuals, where the encoder would take a detail layer instead."""
    x = np.random.default_rng(0).integers(0, 2, (96, 96, 3), dtype=np.uint8) * 255
    model, tile = load_model(default_model_id()), Tile(0, 0, 0, 96, 96)
    payload = parse_tile(encode_tile(model, x, tile, rate_index=MAX_RATE_INDEX), 0)
    decoded = decode_symbols(model, tile, payload, MAX_RATE_INDEX)
    half = model.coder.tables.r_half[decoded.scale_index]
    assert (np.abs(decoded.r) > half).any(), "no escape was coded, so this shows nothing of them"
    assert same(decoded, tile_symbols(model, x, tile, MAX_RATE_INDEX))


def test_every_symbol_of_a_large_picture(photo, encoder, symbols):
    x = photo(530, 520)
    header, tiles = symbols(encoder(50).encode(x))
    model = load_model(header.model_id)
    assert [t for t, *_ in tiles] == tile_grid(530, 520, 512)
    assert all(same(s, tile_symbols(model, x, tile, header.rate_index)) for tile, _, s in tiles)


def test_bytes_and_psnr_rise_with_quality(photo, encoder, decode, psnr):
    x = photo(192, 192)
    entry = model_entry(default_model_id())
    sizes, fidelity, rate_indices = [], [], []
    for quality in range(0, 101, 10):
        rate_index = to_rate_index(quality, entry)
        data = encoder(quality).encode(x)
        assert codec.info(data).rate_index == rate_index
        if rate_indices and rate_index == rate_indices[-1]:
            # Clamped at an end of the scale: the same file.
            assert len(data) == sizes[-1]
            continue
        rate_indices.append(rate_index)
        sizes.append(len(data))
        fidelity.append(psnr(x, decode(data)))
    assert len(rate_indices) > 4
    assert (np.diff(sizes) > 0).all(), sizes
    assert (np.diff(fidelity) > 0).all(), fidelity
    assert sizes[-1] > 4 * sizes[0]
    assert fidelity[-1] > fidelity[0] + 6


def unusual_pictures():
    """Patterns unlike photographs, which may excite channels that are usually empty; name -> samples."""
    rows, columns = np.indices((128, 128))
    colours = {"gray": ((0, 0, 0), (255, 255, 255)), "magenta": ((0, 255, 0), (255, 0, 255))}
    colours |= {"red": ((255, 0, 0), (0, 0, 255)), "blue": ((0, 0, 0), (0, 0, 255))}
    found = {}
    for (name, (one, other)), period in itertools.product(colours.items(), (1, 2, 4)):
        checks = (rows // period + columns // period) % 2
        found[f"{name} checks of {period}"] = np.where(checks[..., None], one, other).astype(np.uint8)
        stripes = (columns // period) % 2
        found[f"{name} stripes of {period}"] = np.where(stripes[..., None], one, other).astype(np.uint8)
    return found


@pytest.mark.parametrize("quality", [0, 25])
def test_unusual_pictures(encoder, decode, symbols, quality):
    """Symbols are decoded as coded, whether or not the weights make the encoder set the lift flag."""
    for name, picture in unusual_pictures().items():
        data = encoder(quality).encode(picture)
        header, [(tile, payload, decoded)] = symbols(data)
        model = load_model(header.model_id)
        own = payload.rate_index(model.config.base_rate_index(header.rate_index))
        made = tile_symbols(model, picture, tile, own)
        assert same(decoded, made), name
        assert payload.lift == made.lift, name
        assert decode(data).shape == picture.shape


def test_lifted_tile(photo, decode, symbols):
    """A latent far from 0 with a scale index of 0 makes the encoder set the lift flag and code all."""
    model = load_model(default_model_id())
    x = photo(96, 128)
    y = analyse(model, x, Block(0, 0, 8, 6), 8, 6, 0)
    empty = np.flatnonzero(quantise_tile(model, y, 0).scale_index == 0)
    for where in np.random.default_rng(0).choice(empty, 20):
        wild = y.copy()
        wild.reshape(-1)[where] = 9.3
        made = quantise_tile(model, wild, 0)
        # The hyper-latent may have predicted a larger scale.
        if made.lift:
            break
    assert made.lift
    words = model.coder.encode(made.z, made.r, made.scale_index, 0)
    payload = TilePayload(FLAG_LIFT, 0, symbol_crc(made.z, made.r), words)
    data = write_container(Header(96, 128, 0, model.model_id), [payload.pack()])
    _, [(_, _, decoded)] = symbols(data)
    assert same(decoded, made)
    assert abs(decoded.r.reshape(-1)[where]) >= 8
    plain = model.scale.scale_indices(decoded.z, decoded.r, 0)
    assert np.array_equal(np.maximum(plain, 1), decoded.scale_index)
    assert decode(data).shape == x.shape


@pytest.mark.parametrize("quality", [0, 25, 90])
def test_photos_need_no_lift(photo, encoder, symbols, quality):
    _, [(_, payload, _)] = symbols(encoder(quality).encode(photo(128, 128)))
    assert not payload.lift


def test_overhead_of_a_small_picture(photo, encoder):
    """All except the words of the range coder takes at most 44 bytes."""
    for size in [(64, 64), (451, 300)]:
        data = encoder(50).encode(photo(*size))
        [tile] = parse_container(data).tiles
        assert len(data) - len(tile.words) <= 44


def test_round_trip_gives_no_warnings(photo, encoder, decode):
    x = photo(64, 48)
    x.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(encoder(50).encode(x))
