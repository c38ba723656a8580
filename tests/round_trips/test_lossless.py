"""Lossless tiles: chosen where they are cheap, exact, and without a seam to learned tiles."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

import codec
from codec.bitstream.container import parse_container, write_container
from codec.encode.encoder import Encoder
from codec.errors import CorruptPayload
from codec.inference.weights import load_model
from codec.model.index import default_model_id
from codec.tiles.transforms import Block, analyse, synthesise

PRIMES = [n for n in range(2, 70) if all(n % divisor for divisor in range(2, n))]


def page(width, height):
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for line in range(height // 14):
        draw.text((6, 1 + 14 * line), "The quick brown fox 0123456789 " * 8, fill=(20, 20, 60))
    return np.asarray(picture)


@pytest.fixture(scope="module")
def mixed(photo):
    """A photo of 3x2 tiles in which the middle tile of the first row is a page of text."""
    samples = photo(1300, 700).copy()
    samples[:512, 512:1024] = page(512, 512)
    return samples


@pytest.fixture(scope="module")
def mixed_file(encoder, mixed):
    return encoder.encode(mixed)


def test_drawings_are_lossless_and_photos_are_not(photo, there_and_back):
    for samples in (page(240, 150), np.full((80, 80, 3), 128, np.uint8)):
        data, back, _ = there_and_back(samples)
        assert codec.info(data).lossless_tiles == 1
        assert np.array_equal(back, samples)
    assert codec.info(there_and_back(photo(96, 80))[0]).lossless_tiles == 0


def test_flat_picture_is_tiny(there_and_back):
    for colour in (0, 128, 255):
        data, back, _ = there_and_back(np.full((80, 80, 3), colour, np.uint8))
        assert len(data) < 100
        assert (np.asarray(back) == colour).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_lossless_option(decoder, photo, mode):
    source = Image.fromarray(photo(530, 70)).convert(mode)
    if mode.endswith("A"):
        source.putalpha(Image.fromarray(photo(530, 70)[..., 0]))
        shown = np.asarray(source)[..., -1] > 0
    data = Encoder(0, lossless=True).encode(source)
    assert codec.info(data).lossless_tiles == 2
    back = decoder.decode(data)
    assert back.mode == mode
    same = np.asarray(back) == np.asarray(source)
    assert same[shown].all() if mode.endswith("A") else same.all()


def same_where_seen(decoder, source):
    """Return whether all samples are decoded exactly, except colours under alpha 0."""
    back = decoder.decode(Encoder(0, threads=1, lossless=True).encode(source))
    if (back.mode, back.size) != (source.mode, source.size):
        return False
    shown = np.asarray(source.getchannel("A")) > 0 if source.mode.endswith("A") else np.s_[:]
    return np.array_equal(np.asarray(back)[shown], np.asarray(source)[shown])


@pytest.mark.parametrize("width", PRIMES)
def test_lossless_of_odd_sizes(decoder, width):
    """Every height with all four modes, also with width and height exchanged."""
    rng = np.random.default_rng(width)
    for i, height in enumerate(PRIMES):
        mode = ("L", "LA", "RGB", "RGBA")[(i + PRIMES.index(width)) % 4]
        noise = Image.fromarray(rng.integers(0, 256, (height, width, 4), np.uint8))
        assert same_where_seen(decoder, noise.convert(mode)), (height, mode)


def test_lossless_of_a_large_picture(decoder):
    noise = np.random.default_rng(0).integers(0, 256, (1537, 2049, 3), np.uint8)
    assert same_where_seen(decoder, Image.fromarray(noise))


def test_lossless_beside_learned_shows_no_seam(decoder, mixed, mixed_file):
    info = codec.info(mixed_file)
    assert (info.tiles, info.lossless_tiles) == (6, 1)
    back = np.asarray(decoder.decode(mixed_file)).astype(float)
    error = np.square(back - mixed).mean(2)
    assert (error[:512, 512:1024] == 0).all()
    inside = error[:512, 100:400].mean()
    for rim in (error[:512, 496:512], error[:512, 1024:1040], error[512:528, 512:1024]):
        assert rim.mean() < 2 * inside + 1


def test_neighbours_do_not_depend_on_lossless_pixels(decoder, mixed, mixed_file):
    """The content of a lossless tile affects no other tile, in the encoder or the decoder."""
    container = parse_container(mixed_file)
    other = Encoder(75, threads=2)
    changed = mixed.copy()
    changed[:512, 512:1024] = changed[:512, 512:1024][::-1]
    again = parse_container(other.encode(changed))
    for index in (0, 2, 3, 4, 5):
        assert again.tiles[index].pack() == container.tiles[index].pack()


def test_gap_acts_like_a_picture_edge(photo):
    """Tiles beside a gap are computed as if they were alone; without a gap nothing changes."""
    model = load_model(default_model_id())
    pixels, part = photo(96, 64), Block(0, 0, 4, 3)
    everywhere = np.ones((4, 6), bool)
    gap = everywhere.copy()
    gap[:, 3:] = False
    y = analyse(model, pixels, Block(0, 0, 4, 6), 4, 6, 700)
    assert np.array_equal(analyse(model, pixels, Block(0, 0, 4, 6), 4, 6, 700, everywhere), y)
    alone = analyse(model, np.ascontiguousarray(pixels[:, :48]), part, 4, 3, 700)
    assert np.abs(alone - y[:, :, :3]).max() > 0.1
    assert np.allclose(analyse(model, pixels, part, 4, 6, 700, gap), alone, atol=1e-3)
    apart = synthesise(model, np.ascontiguousarray(y[:, :, :3]), part, 700).astype(int)
    assert np.abs(apart - synthesise(model, y, part, 700)).max() > 1
    assert np.abs(apart - synthesise(model, y, part, 700, present=gap)).max() <= 1
    corner = np.where(np.arange(24).reshape(4, 6) == 23, False, True)
    seen = [synthesise(model, y, Block(0, 0, 1, 6), 700, present=where) for where in (None, corner)]
    # Beyond the reach of the gap, the masked graph must equal the plain one.
    assert np.abs(seen[0][:, :16].astype(int) - seen[1][:, :16]).max() <= 1


def test_damaged_streams_are_refused(decoder):
    samples = page(64, 48)
    data = Encoder(75).encode(samples)
    container = parse_container(data)
    [tile] = container.tiles
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(60):
        stream = bytearray(tile.stream)
        stream[rng.integers(5, len(stream))] ^= 1 << rng.integers(8)
        forged = write_container(container.header, [bytes(stream)], lossless={0})
        try:
            # VP8L has no checksum of its own: what decodes at all has the right size.
            assert decoder.decode(forged).size == (64, 48)
        except CorruptPayload:
            n_refused += 1
    assert n_refused
    with pytest.raises(CorruptPayload):
        decoder.decode(
            write_container(container.header, [bytes(tile.stream)[: len(tile.stream) // 2]], lossless={0})
        )


def checks(level):
    rows, columns = np.indices((150, 200))
    return np.repeat((level + (255 - level) * ((rows + columns) % 2))[..., None], 3, 2).astype(np.uint8)


@pytest.mark.parametrize("quality", [15, 50, 90])
def test_synthetic_patterns_are_stored_losslessly(decoder, quality):
    """One-pixel patterns, which the model cannot represent, are stored losslessly at any quality."""
    for samples in (checks(0), checks(120)):
        data = Encoder(quality, threads=2).encode(samples)
        assert codec.info(data).lossless_tiles == 1
        assert np.array_equal(decoder.decode(data), samples)


@pytest.mark.parametrize("quality", [15, 50, 90])
def test_rings_are_exact_or_as_good_as_webp(decoder, quality, psnr):
    rows, columns = np.indices((160, 160)) - 80
    rings = (127.5 + 127.5 * np.cos(np.pi * (rows**2 + columns**2) / 160)).astype(np.uint8)
    data = Encoder(quality, threads=2).encode(np.repeat(rings[..., None], 3, 2))
    back = np.asarray(decoder.decode(data))[..., 0]
    if codec.info(data).lossless_tiles:
        assert np.array_equal(back, rings)
        return
    assert quality == 15
    rivals = (webp(rings, q) for q in range(0, 100, 2))
    assert psnr(rings, back) > max(psnr(rings, x) for n, x in rivals if n <= len(data)) - 1.25


def webp(gray, quality):
    """Return the size in bytes of a gray picture as WebP, and its decoded samples, uint8 [H, W]."""
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, "WEBP", quality=quality, method=6)
    with Image.open(stream) as picture:
        return len(stream.getvalue()), np.asarray(picture.convert("L"))


def test_noise_is_not_stored_losslessly_at_low_quality(decoder):
    """Lossless noise takes 8 bits per sample, which does not pay at low quality."""
    noise = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    found = [codec.info(Encoder(q, threads=2).encode(Image.fromarray(noise))) for q in (10, 100)]
    assert [info.lossless_tiles for info in found] == [0, 1]
    assert found[0].n_bytes < 0.5 * noise.size
