"""PNG files of known samples: all depths and colour types, with colour keys, with wrong CRCs."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from codec.errors import UnsupportedImage
from codec.image.load import load_picture

SIZE = 13, 11
GRAY, COLOUR, PALETTE, GRAY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GRAY: 1, COLOUR: 3, PALETTE: 1, GRAY_ALPHA: 2, COLOUR_ALPHA: 4}
KINDS = [
    *((GRAY, bits) for bits in (1, 2, 4, 8, 16)),
    *((PALETTE, bits) for bits in (1, 2, 4, 8)),
    *((kind, bits) for kind in (COLOUR, GRAY_ALPHA, COLOUR_ALPHA) for bits in (8, 16)),
]
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rows(samples, bits):
    if bits >= 8:
        lines = samples.astype(f">u{bits // 8}").reshape(len(samples), -1)
        return b"".join(b"\0" + line.tobytes() for line in lines)
    one = ((samples[..., None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
    return b"".join(b"\0" + line.tobytes() for line in np.packbits(one.reshape(len(samples), -1), axis=1))


def png(samples, bits, kind, *, key=None, palette=None, interlaced=False, before=(), after=()):
    """Return a PNG file of samples [H, W, n]. before, after: further chunks before and after the pixels."""
    height, width = samples.shape[:2]
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in PASSES] if interlaced else [samples]
    pixels = b"".join(rows(part, bits) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            b"" if palette is None else chunk(b"PLTE", palette),
            b"" if key is None else chunk(b"tRNS", key),
            *before,
            chunk(b"IDAT", zlib.compress(pixels)),
            *after,
            chunk(b"IEND", b""),
        )
    )


def drawn(bits, channels):
    """Return samples of which some are equal, and some differ from these only in the lowest bit."""
    samples = np.random.default_rng(bits).integers(0, 1 << bits, (*SIZE, channels))
    samples[2, 3:6] = samples[2, 2]
    samples[2, 4, 0] ^= 1
    samples[2, 5, -1] ^= 1
    return samples


def loaded(source):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture = load_picture(source)
    samples = picture.colour[0 : SIZE[0], 0 : SIZE[1]].astype(int)
    return samples, picture.alpha, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_every_kind_is_read_correctly(kind, bits, interlaced):
    samples = drawn(bits, CHANNELS[kind])
    palette = np.random.default_rng(1).integers(0, 256, (1 << min(bits, 8), 3), dtype=np.uint8)
    spread = samples >> 8 if bits == 16 else samples * 255 // ((1 << bits) - 1)
    for keyed in (False, True) if kind in (GRAY, COLOUR, PALETTE) else (False,):
        key = None
        if kind == PALETTE:
            colour = palette[samples[..., 0]]
            opacity = np.full(len(palette), 255)
            if keyed:
                opacity[:2] = 0, 77
                key = bytes([0, 77])
            alpha = opacity[samples[..., 0]] if keyed else None
        else:
            n_colours = 3 if kind in (COLOUR, COLOUR_ALPHA) else 1
            colour = np.broadcast_to(spread[..., :n_colours], (*SIZE, 3))
            alpha = spread[..., -1] if kind in (GRAY_ALPHA, COLOUR_ALPHA) else None
            if keyed:
                alpha = np.where((samples == samples[2, 2]).all(2), 0, 255)
                key = samples[2, 2].astype(">u2").tobytes()
                assert alpha[2, 2] == alpha[2, 3] == 0
                assert alpha[2, 4] == alpha[2, 5] == 255
        data = png(
            samples, bits, kind,
            key=key, palette=palette.tobytes() if kind == PALETTE else None, interlaced=interlaced,
        )  # fmt: skip
        for source in (data, Image.open(BytesIO(data))):
            read, read_alpha, told = loaded(source)
            assert (read_alpha is None) == (alpha is None)
            shown = np.full(SIZE, True) if alpha is None else alpha > 0
            assert alpha is None or np.array_equal(read_alpha, alpha)
            assert np.array_equal(read[shown], colour[shown])
            assert told == (["16-bit samples are reduced to 8 bits"] if bits == 16 else [])


def test_16_bit_key_reduced_to_8_bits_by_the_caller_gives_a_warning():
    samples = drawn(16, 3)
    picture = Image.open(BytesIO(png(samples, 16, COLOUR, key=samples[2, 2].astype(">u2").tobytes())))
    picture.load()
    read, alpha, told = loaded(picture)
    assert alpha is None
    assert np.array_equal(read, samples >> 8)
    assert any("transparent colour" in text for text in told)


def with_wrong_crc(data, kind):
    at = data.index(kind) + 4
    at += int.from_bytes(data[at - 8 : at - 4], "big")
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"pHYs", b"gAMA", b"prVt"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_only_the_damaged_ancillary_chunk_is_dropped(kind, place, tmp_path):
    samples = drawn(8, 3)
    text = chunk(b"tEXt", b"Title\0kept")
    extra = chunk(kind, b"Author\0" + zlib.compress(b"nobody"))
    data = with_wrong_crc(png(samples, 8, COLOUR, **{place: (extra, text)}), kind)
    path = tmp_path / "damaged.png"
    path.write_bytes(data)
    for source in (data, path):
        read, _, told = loaded(source)
        assert np.array_equal(read, samples)
        assert told == [f"the {kind.decode()} chunk is damaged (its CRC is wrong) and not kept"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load_picture(data).metadata.text == (("Title", "kept"),)
    assert path.read_bytes() == data


def test_readable_damaged_pixels_are_reported():
    samples = drawn(8, 3)
    read, _, told = loaded(with_wrong_crc(png(samples, 8, COLOUR), b"IDAT"))
    assert np.array_equal(read, samples)
    assert told == ["the CRC of its IDAT chunk is wrong: the picture may be damaged"]


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE"])
def test_error_names_a_damaged_critical_chunk(kind):
    data = with_wrong_crc(png(drawn(8, 1), 8, PALETTE, palette=bytes(768)), kind)
    with pytest.raises(UnsupportedImage, match=rf"CRC of its {kind.decode()} chunk is wrong"):
        load_picture(data)
