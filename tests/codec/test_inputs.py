from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import codec


@pytest.fixture(scope="module")
def expected(chelsea, encoder):
    return encoder(30).encode(chelsea)


def test_all_kinds_of_input_give_the_same_bytes(chelsea, chelsea_path, encoder, expected):
    same = encoder(30)
    with Image.open(chelsea_path) as opened:
        assert same.encode(opened) == expected
    assert same.encode(Image.fromarray(chelsea)) == expected
    assert same.encode(chelsea_path) == expected
    assert same.encode(str(chelsea_path)) == expected
    data = chelsea_path.read_bytes()
    assert same.encode(data) == expected
    assert same.encode(bytearray(data)) == expected
    assert same.encode(memoryview(data)) == expected


def test_layout_of_an_array_does_not_matter(chelsea, encoder, expected):
    wide = np.zeros((300, 902, 3), np.uint8)
    wide[:, ::2] = chelsea
    assert encoder(30).encode(wide[:, ::2]) == expected
    assert encoder(30).encode(np.asfortranarray(chelsea)) == expected
    assert encoder(30).encode(chelsea[::-1][::-1]) == expected


def test_picture_is_not_modified(chelsea, encoder):
    x = chelsea.copy()
    encoder(30).encode(x)
    assert np.array_equal(x, chelsea)


def test_one_shot_functions_give_the_same_result(chelsea, expected, decode):
    assert codec.compress(chelsea, 30) == expected
    assert codec.compress(chelsea, quality=30.0) == expected
    picture = codec.decompress(expected)
    assert (picture.mode, picture.size) == ("RGB", (451, 300))
    assert np.array_equal(np.asarray(picture), decode(expected))
    assert np.array_equal(np.asarray(codec.decompress(bytearray(expected))), decode(expected))
    assert np.array_equal(np.asarray(codec.decompress(memoryview(b"x" + expected)[1:])), decode(expected))


def test_default_quality_is_75(chelsea, encoder):
    small = chelsea[:40, :50]
    assert codec.compress(small) == codec.Encoder().encode(small) == encoder(75).encode(small)


def test_gray_stays_gray(chelsea, encoder):
    gray = Image.fromarray(chelsea[:64, :64]).convert("L")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert codec.info(encoder(30).encode(gray)).layout == "L"


@pytest.mark.parametrize(
    "bad", [b"", b"no picture", np.zeros((4, 4), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_unreadable_pictures_are_refused(encoder, bad):
    with pytest.raises(codec.UnsupportedImage):
        encoder(30).encode(bad)


def test_vae_file_as_picture_is_refused(encoder, expected):
    with pytest.raises(codec.UnsupportedImage, match="decompress"):
        encoder(30).encode(expected)


def test_picture_as_vae_file_is_refused(chelsea_path):
    with pytest.raises(codec.BadMagic):
        codec.decompress(chelsea_path.read_bytes())


def test_missing_file(encoder, tmp_path):
    with pytest.raises(FileNotFoundError):
        encoder(30).encode(tmp_path / "nothing.png")


@pytest.mark.parametrize("bad", [-1, 101, float("nan"), "75", None])
def test_quality_out_of_range_is_refused(bad):
    with pytest.raises(codec.UsageError, match="quality"):
        codec.Encoder(bad)
    with pytest.raises(codec.UsageError, match="quality"):
        codec.compress(np.zeros((4, 4, 3), np.uint8), bad)


@pytest.mark.parametrize("bad", [0, -2, 1.5])
def test_bad_thread_counts_are_refused(bad):
    with pytest.raises(codec.UsageError, match="threads"):
        codec.Encoder(threads=bad)
    with pytest.raises(codec.UsageError, match="threads"):
        codec.Decoder(threads=bad)


def test_limits_apply_in_both_directions(chelsea_path, encoder, expected):
    with pytest.raises(codec.LimitExceeded, match="max_pixels"):
        codec.Decoder(limits=codec.Limits(max_pixels=451 * 300 - 1)).decode(expected)
    assert codec.Decoder(limits=codec.Limits(max_pixels=451 * 300)).decode(expected).size == (451, 300)
    wide = BytesIO()
    Image.new("1", (65_536, 1)).save(wide, "PNG")
    with pytest.raises(codec.LimitExceeded, match="65,535"):
        encoder(30).encode(wide.getvalue())
