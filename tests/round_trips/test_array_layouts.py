"""The encoder accepts arrays of every layout that decode_array returns, in any memory layout."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import codec
from codec.image.load import load_rgb

LAYOUTS = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}


@pytest.fixture(scope="module")
def arrays(photo):
    """An array of each layout by name; those with alpha have transparent parts."""
    rgb = photo(56, 40)
    alpha = np.clip(np.linspace(-200, 400, 56 * 40), 0, 255).astype(np.uint8).reshape(40, 56)
    gray = rgb[..., 1].copy()
    return {
        "L": gray,
        "LA": np.dstack([gray, alpha]),
        "RGB": rgb,
        "RGBA": np.dstack([rgb, alpha]),
    }


def in_memory(array):
    """Yield the same array in several memory layouts."""
    wide = np.zeros([2 * side for side in array.shape], array.dtype)
    every_second = tuple(slice(None, None, 2) for _ in array.shape)
    wide[every_second] = array
    backwards = np.flip(array).copy()
    frozen = array.copy()
    frozen.flags.writeable = False
    yield np.asfortranarray(array)
    yield np.ascontiguousarray(np.moveaxis(array, -1, 0)).transpose(*range(1, array.ndim), 0)
    yield wide[every_second]
    yield np.flip(backwards)
    yield frozen


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"target_psnr": 33}], ids=str)
def test_an_array_is_coded_as_the_picture_of_its_layout(arrays, layout, options):
    array = arrays[layout]
    before = array.copy()
    data = codec.compress(Image.fromarray(array, layout), 60, **options)
    assert codec.info(data).layout == layout
    assert codec.compress(array, 60, **options) == data
    for same in in_memory(array):
        assert codec.compress(same, 60, **options) == data, same.strides
    assert np.array_equal(array, before)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_decoded_arrays_can_be_encoded(arrays, layout):
    encoder, decoder = codec.Encoder(60, lossless=True), codec.Decoder()
    first = decoder.decode_array(encoder.encode(arrays[layout]))
    assert first.shape == (40, 56, *LAYOUTS[layout])
    shown = arrays["LA"][..., 1] > 0 if layout.endswith("A") else np.s_[:]
    assert np.array_equal(first[shown], arrays[layout][shown])
    again = decoder.decode_array(encoder.encode(first))
    assert again.shape == first.shape
    assert np.array_equal(again, first)


def test_single_channel_with_or_without_an_axis(arrays):
    gray = arrays["L"]
    assert codec.compress(gray[:, :, None], 60) == codec.compress(gray, 60)


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (1, 9, 2), (9, 1, 4), (3, 9, 2), (2, 2, 2)])
def test_small_shapes(shape):
    array = (np.arange(np.prod(shape)) % 9 + 240).astype(np.uint8).reshape(shape)
    decoded = codec.Decoder().decode_array(codec.compress(array, lossless=True))
    assert np.array_equal(decoded, array.squeeze(2) if shape[2:] == (1,) else array)


def test_broadcast_arrays():
    ramp = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None], (40, 24, 3))
    for array in (ramp, ramp[..., :2], ramp[..., 0]):
        assert codec.compress(array) == codec.compress(array.copy())


@pytest.mark.parametrize("shape", [(40, 56), (40, 56, 1), (40, 56, 2), (40, 56, 3), (40, 56, 4)])
def test_bool_arrays_are_black_and_white(photo, shape):
    mask = np.resize(photo(56, 40) > 110, shape)
    data = codec.compress(mask, lossless=True)
    assert data == codec.compress(np.where(mask, 255, 0).astype(np.uint8), lossless=True)
    if shape == (40, 56):
        assert data == codec.compress(Image.fromarray(mask), lossless=True)  # of mode 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bits_keep_their_high_byte(arrays, layout, order):
    low = np.random.default_rng(3).integers(0, 256, arrays[layout].shape)
    deep = (arrays[layout].astype(int) * 256 + low).astype(f"{order}u2")
    with pytest.warns(codec.ConversionWarning, match="^16-bit samples are reduced to 8 bits$"):
        data = codec.compress(deep, 60)
    assert data == codec.compress(arrays[layout], 60)


def test_16_bits_give_the_warning_of_a_picture(arrays):
    file = io.BytesIO()
    Image.fromarray(arrays["L"].astype(np.uint16) * 257).save(file, "PNG")
    with pytest.warns(codec.ConversionWarning) as of_picture:
        from_file = codec.compress(file.getvalue(), 60)
    with pytest.warns(codec.ConversionWarning) as of_array:
        assert codec.compress(arrays["L"].astype(np.uint16) * 257, 60) == from_file
    assert [str(w.message) for w in of_array] == [str(w.message) for w in of_picture]


def test_arrays_for_metrics_are_contiguous_rgb(arrays):
    """Metrics get contiguous [H, W, 3] arrays for every layout."""
    rgb = load_rgb(arrays["L"])
    assert rgb.flags.c_contiguous
    assert np.array_equal(rgb, np.repeat(arrays["L"][..., None], 3, 2))
    with pytest.warns(codec.ConversionWarning, match="laid over white"):
        over = load_rgb(arrays["RGBA"])
    assert (over[arrays["RGBA"][..., 3] == 0] == 255).all()
