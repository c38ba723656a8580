from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw

import codec
from codec.bitstream.container import parse_container
from codec.bitstream.geometry import tile_grid
from codec.encoder import tile_symbols
from codec.model.index import default_model_id, model_entry
from codec.model.quality import to_rate
from codec.model.weights import load_model

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
    assert psnr(x, x_hat) > 33
    record = codec.info(data)
    assert (record.width, record.height, record.tile_size) == (*size, 512)
    assert record.tiles == -(-size[0] // 512) * -(-size[1] // 512)
    assert record.model_id == default_model_id().hex()
    assert record.quality == to_rate(90, model_entry(default_model_id()))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("size", [(1, 1), (90, 70)])
def test_flat_picture(encoder, decode, colour, size):
    x = np.full((size[1], size[0], 3), colour, np.uint8)
    data = encoder(90).encode(x)
    assert np.abs(decode(data).astype(int) - x).max() <= 8
    assert len(data) < 44 + 500


@pytest.mark.parametrize("quality", [0, 90, 100])
def test_noise_keeps_its_symbols(encoder, decode, symbols, quality):
    """Nothing is expected of noise but that symbols far outside their tables survive."""
    x = np.random.default_rng(0).integers(0, 2, (96, 96, 3), dtype=np.uint8) * 255
    data = encoder(quality).encode(x)
    header, [(tile, payload, z, r)] = symbols(data)
    model = load_model(header.model_id)
    made = tile_symbols(model, x, tile, header.quality)
    assert np.array_equal(z, made.z)
    assert np.array_equal(r, made.r)
    assert payload.lift == made.lift
    if quality:
        half = model.coder.tables.r_half[made.scale_index]
        assert (np.abs(r) > half).any(), "no escape was coded, so this shows nothing of them"
    assert decode(data).shape == x.shape


def test_every_symbol_of_a_large_picture(photo, encoder, symbols):
    x = photo(530, 520)
    header, tiles = symbols(encoder(50).encode(x))
    model = load_model(header.model_id)
    assert [t.index for t, *_ in tiles] == [0, 1, 2, 3]
    for (tile, _, z, r), expected in zip(tiles, tile_grid(530, 520, 512), strict=True):
        assert tile == expected
        made = tile_symbols(model, x, tile, header.quality)
        assert np.array_equal(z, made.z)
        assert np.array_equal(r, made.r)


def test_bytes_and_psnr_rise_with_quality(photo, encoder, decode, psnr):
    x = photo(192, 192)
    entry = model_entry(default_model_id())
    sizes, fidelity, rates = [], [], []
    for quality in range(0, 101, 10):
        rate = to_rate(quality, entry)
        data = encoder(quality).encode(x)
        assert codec.info(data).quality == rate
        if rates and rate == rates[-1]:
            # Clamped at an end of the scale: the very same file.
            assert len(data) == sizes[-1]
            continue
        rates.append(rate)
        sizes.append(len(data))
        fidelity.append(psnr(x, decode(data)))
    assert len(rates) > 4
    assert (np.diff(sizes) > 0).all(), sizes
    assert (np.diff(fidelity) > 0).all(), fidelity
    assert sizes[-1] > 4 * sizes[0]
    assert fidelity[-1] > fidelity[0] + 6


def pictures_that_surprise():
    """Things that no photo shows, where latents thought empty are not."""
    rows, columns = np.indices((128, 128))
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[..., 2] = (columns // 2 % 2) * 255
    stripes[..., 0] = 255 - stripes[..., 2]
    checks = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, 2)
    page = Image.new("RGB", (128, 128), (0, 255, 0))
    for line in range(10):
        ImageDraw.Draw(page).text((2, 1 + 12 * line), "Quick brown fox jumps 01", fill=(255, 0, 255))
    return [stripes, checks, stripes.swapaxes(0, 1), np.asarray(page)]


def test_lift_is_used_where_needed(photo, encoder, decode, symbols, psnr):
    lifted = []
    for picture in pictures_that_surprise():
        for quality in (0, 10, 30):
            data = encoder(quality).encode(picture)
            header, [(_, payload, z, _)] = symbols(data)
            x_hat = decode(data)
            if payload.lift:
                lifted.append(quality)
                index = load_model(header.model_id).scale.scale_index(z, header.quality)
                assert (index == 0).any()
                # Better than any flat picture could be, which is the least that lifting must bring.
                assert psnr(picture, x_hat) > psnr(picture, picture.mean((0, 1)))
    assert lifted
    for quality in (0, 10, 30):
        _, [(_, payload, *_)] = symbols(encoder(quality).encode(photo(128, 128)))
        assert not payload.lift


def test_a_small_picture_pays_little(photo, encoder):
    """Everything but the words of the range coder takes at most 44 bytes."""
    for size in [(64, 64), (451, 300)]:
        data = encoder(50).encode(photo(*size))
        [tile] = parse_container(data).tiles
        assert len(data) - len(tile.words) <= 44


def test_nothing_is_warned_of(photo, encoder, decode):
    x = photo(64, 48)
    x.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(encoder(50).encode(x))
