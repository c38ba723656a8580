"""TIFF files of known samples: layouts are read correctly or refused, and losses are reported."""

from __future__ import annotations

import itertools
import struct
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image

from codec.errors import CodecError, UnsupportedImage
from codec.image.load import ConversionWarning, load_picture

HEIGHT, WIDTH = 21, 19
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, LAB = 0, 1, 2, 3, 5, 8
PALETTE_COLOURS = np.random.default_rng(5).integers(0, 256, (256, 3))


def packed(samples, bits, order):
    """Pack samples [rows, values], each row to whole bytes."""
    if bits > 8 and bits != 12:
        return samples.astype(f"{order}u{bits // 8}").tobytes()
    one = ((samples[..., None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
    return np.packbits(one.reshape(len(samples), -1), axis=1).tobytes()


def cut(plane, rows, tile):
    """Cut a plane [H, W, n] into strips or tiles, the last ones padded."""
    if tile is None:
        return [plane[top : top + rows] for top in range(0, len(plane), rows)]
    spare = [(0, -size % tile) for size in plane.shape[:2]]
    plane = np.pad(plane, (*spare, (0, 0)))
    tops, lefts = (range(0, size, tile) for size in plane.shape[:2])
    return [plane[top : top + tile, left : left + tile] for top, left in itertools.product(tops, lefts)]


def tiff(
    samples,
    bits,
    photometric,
    *,
    order="<",
    planar=False,
    extra=(),
    deflate=False,
    rows=8,
    tile=None,
    reverse=False,
    predictor=False,
    tags=(),
):
    """Return a TIFF file of samples [H, W, n]. tags: further tags, {tag: (type, values)}."""
    height, width, count = samples.shape
    planes = np.split(samples, count, axis=2) if planar else [samples]
    blocks = []
    for block in (block for plane in planes for block in cut(plane, rows, tile)):
        if predictor:
            block = np.diff(block, axis=1, prepend=0) & ((1 << bits) - 1)
        data = packed(block.reshape(len(block), -1), bits, order)
        data = zlib.compress(data, 1) if deflate else data
        if reverse:
            data = np.packbits(np.unpackbits(np.frombuffer(data, np.uint8)), bitorder="little").tobytes()
        blocks.append(data)
    starts = np.cumsum([8, *(len(block) for block in blocks)])
    entries = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * count), 259: (3, [8 if deflate else 1]),
        262: (3, [photometric]), 266: (3, [1 + reverse]), 277: (3, [count]), 284: (3, [1 + planar]),
        317: (3, [1 + predictor]),
    }  # fmt: skip
    if extra:
        entries[338] = (3, extra)
    if photometric == PALETTE:
        entries[320] = (3, (PALETTE_COLOURS[: 1 << bits].T * 257).reshape(-1))
    if tile is None:
        entries |= {278: (4, [rows]), 273: (4, starts[:-1]), 279: (4, np.diff(starts))}
    else:
        entries |= {322: (4, [tile]), 323: (4, [tile]), 324: (4, starts[:-1]), 325: (4, np.diff(starts))}
    entries |= dict(tags)
    directory, far = struct.pack(f"{order}H", len(entries)), b""
    at = int(starts[-1]) + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        data = struct.pack(f"{order}{len(values)}{ {1: 'B', 3: 'H', 4: 'I'}[kind] }", *map(int, values))
        directory += struct.pack(f"{order}HHI", tag, kind, len(values))
        if len(data) > 4:
            directory += struct.pack(f"{order}I", at + len(far))
            far += data
        else:
            directory += data.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", starts[-1])
    return head + b"".join(blocks) + directory + bytes(4) + far


def eight_bits(samples, bits):
    return samples >> (bits - 8) if bits >= 8 else samples * 255 // ((1 << bits) - 1)


def colour_of(samples, bits, photometric):
    if photometric == PALETTE:
        return PALETTE_COLOURS[samples[..., 0]]
    if photometric == RGB:
        return eight_bits(samples[..., :3], bits)
    gray = samples[..., :1] if photometric == BLACK_IS_ZERO else (1 << bits) - 1 - samples[..., :1]
    return np.repeat(eight_bits(gray, bits), 3, axis=2)


def drawn(bits, count, seed=0):
    return np.random.default_rng(seed).integers(0, 1 << bits, (HEIGHT, WIDTH, count))


def loaded(data):
    """Return colour [H, W, 3], alpha or None, and the texts of all warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture = load_picture(data)
    return picture.colour[0:HEIGHT, 0:WIDTH].astype(int), picture.alpha, [str(w.message) for w in caught]


VARIANTS = [
    {"order": order, "planar": planar, "deflate": deflate, "tile": tile, "reverse": reverse}
    for order, planar, deflate, tile, reverse in itertools.product(
        "<>", (False, True), (False, True), (None, 16), (False, True)
    )
]


@pytest.mark.parametrize("bits", [8, 16])
def test_files_of_these_tests_are_valid(bits):
    samples = drawn(bits, 4)
    for variant in VARIANTS:
        for predictor in (False, True) if variant["deflate"] else (False,):
            data = tiff(samples, bits, RGB, extra=[0], predictor=predictor, **variant)
            read = tifffile.imread(BytesIO(data))
            assert np.array_equal(read.transpose(1, 2, 0) if variant["planar"] else read, samples), variant


@pytest.mark.parametrize("extra", [None, (0,), (2,), (0, 0), (2, 0)])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_layouts_are_read_correctly_or_refused(bits, photometric, extra):
    """An extra sample of type 2 is alpha; extra samples of type 0 are left out with a warning."""
    if photometric == PALETTE and bits > 8:
        return
    count = 3 if photometric == RGB else 1
    samples = drawn(bits, count + len(extra or ()))
    n_read = 0
    for variant in VARIANTS:
        data = tiff(samples, bits, photometric, extra=extra or (), **variant)
        try:
            colour, alpha, told = loaded(data)
        except UnsupportedImage:
            continue
        n_read += 1
        expected = eight_bits(samples[..., count], bits) if extra and extra[0] == 2 else None
        assert (alpha is None) == (expected is None), variant
        shown = np.full(samples.shape[:2], True)
        if expected is not None:
            assert np.array_equal(alpha, expected), variant
            shown = expected > 0
        assert np.array_equal(colour[shown], colour_of(samples, bits, photometric)[shown]), variant
        assert any("unspecified meaning" in text for text in told) == (0 in (extra or ())), variant
        assert (f"{bits}-bit samples are reduced to 8 bits" in told) == (bits > 8), variant
    if extra is None and bits != 12 and not (photometric == RGB and bits < 8):
        assert n_read >= 8, "the common layouts are read"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("tile", [None, 16])
def test_planes_of_16_bits_are_read(order, deflate, tile):
    samples = drawn(16, 3)
    data = tiff(samples, 16, RGB, order=order, planar=True, deflate=deflate, tile=tile)
    assert np.array_equal(loaded(data)[0], samples >> 8)


def test_planes_opened_by_pillow_itself_are_refused(tmp_path):
    """Pillow's own reader gives wrong samples."""
    data = tiff(drawn(16, 3), 16, RGB, planar=True)
    with Image.open(BytesIO(data)) as picture, pytest.raises(UnsupportedImage, match="pass the file itself"):
        load_picture(picture)


def test_gray_that_pillow_returns_unscaled():
    white_is_zero, dark = drawn(16, 1), drawn(12, 1)
    colour, _, _ = loaded(tiff(white_is_zero, 16, WHITE_IS_ZERO))
    assert np.array_equal(colour[..., :1], 255 - (white_is_zero >> 8))
    colour, _, told = loaded(tiff(dark, 12, BLACK_IS_ZERO))
    assert np.array_equal(colour[..., :1], dark >> 4)
    assert told == ["12-bit samples are reduced to 8 bits"]


@pytest.mark.parametrize(
    ("bits", "photometric", "count", "extra"),
    [(8, BLACK_IS_ZERO, 2, (2,)), (8, RGB, 4, ()), (16, RGB, 4, ()), (8, LAB, 3, ()), (8, PALETTE, 2, (2,))],
)
def test_planes_that_pillow_confuses_are_refused(bits, photometric, count, extra):
    samples = drawn(bits, count)
    for deflate, tile in itertools.product((False, True), (None, 16)):
        data = tiff(samples, bits, photometric, extra=extra, planar=True, deflate=deflate, tile=tile)
        with pytest.raises(UnsupportedImage, match="separate planes"):
            load_picture(data)


def test_unspecified_alpha_gives_a_warning():
    samples = drawn(8, 4)
    colour, alpha, told = loaded(tiff(samples, 8, RGB))
    assert np.array_equal(alpha, samples[..., 3])
    shown = alpha > 0
    assert np.array_equal(colour[shown], samples[shown][:, :3])
    assert told == ["a further sample whose meaning the file does not say is taken as transparency"]


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({339: (3, [2])}, "signed samples"),
        ({32997: (4, [7])}, "volume"),
        ({262: (3, [6]), 277: (3, [3]), 258: (3, [8, 8, 8])}, "YCbCr"),
        ({262: (3, [PALETTE]), 320: (3, [255] * 768)}, "palette of 8 bits"),
        ({259: (3, [34712])}, "TIFF file of a layout or compression"),
    ],
)
def test_undefined_layouts_are_refused_by_name(tags, words):
    with pytest.raises(UnsupportedImage, match=words):
        load_picture(tiff(drawn(8, 1), 8, BLACK_IS_ZERO, tags=tags))


def dng(*, inner_photometric=None, **tags):
    """Return a file like a camera's raw file: a 19x21 thumbnail and an inner directory for the raw data."""
    if inner_photometric is None:
        return tiff(drawn(8, 3), 8, RGB, tags=tags["tags"])
    plain = tiff(drawn(8, 3), 8, RGB, tags={330: (4, [0])})
    inner = struct.pack("<HHHIHHI", 1, 262, 3, 1, inner_photometric, 0, 0)
    return tiff(drawn(8, 3), 8, RGB, tags={330: (4, [len(plain)])}) + inner


@pytest.mark.parametrize(
    "data",
    [
        dng(tags={254: (4, [1])}),
        dng(tags={255: (3, [2])}),
        dng(tags={50706: (1, [1, 4, 0, 0])}),
        dng(inner_photometric=32803),
        dng(inner_photometric=34892),
        b"II*\0\x10\0\0\0CR\2\0" + bytes(40),
        b"FUJIFILMCCD-RAW 0201" + bytes(40),
        b"\0\0\0\x18ftypcrx \0\0\0\1" + bytes(40),
    ],
)
def test_raw_files_are_refused_by_name(data):
    with pytest.raises(UnsupportedImage, match=r"raw file.*develop"):
        load_picture(data)


def test_inner_directories_give_a_warning():
    with pytest.warns(ConversionWarning, match="1 of inner directories left out"):
        load_picture(dng(inner_photometric=RGB))


def test_error_of_heic_names_the_remedy():
    with pytest.raises(CodecError, match=r"HEIC.*pillow-heif"):
        load_picture(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
