"""Image.draft and Image.thumbnail decode a smaller picture in a fraction of the time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import codec
import codec.pillow


@pytest.fixture(scope="module")
def data(photo):
    return codec.compress(photo(200, 136), 80)


@pytest.mark.parametrize(
    ("wanted", "size", "scale"), [((20, 10), (25, 17), 8), ((12, 8), (13, 9), 16), ((1, 1), (13, 9), 16)]
)
def test_draft(data, wanted, size, scale):
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.draft("RGB", wanted) == ("RGB", (0, 0, 200 / scale, 136 / scale))
        assert opened.size == size
        assert opened.tobytes() == codec.Decoder().decode(data, scale=scale).tobytes()


def test_requested_size_above_the_previews_decodes_in_full(data):
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.draft("RGB", (30, 20)) is None
        assert opened.draft("RGB", None) is None
        opened.load()
        assert opened.draft("RGB", (1, 1)) is None
        assert opened.size == (200, 136)


def test_thumbnail_looks_like_the_picture(data):
    with Image.open(io.BytesIO(data)) as opened:
        opened.thumbnail((10, 10))
        small = np.asarray(opened).astype(int)
    whole = codec.decompress(data)
    whole.thumbnail((10, 10))
    assert small.shape == np.asarray(whole).shape
    assert np.abs(small - np.asarray(whole)).mean() < 8
