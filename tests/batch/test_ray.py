"""`CompressBatch`, called as `map_batches` of Ray Data calls it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import codec
from codec.batch import CompressBatch


@pytest.fixture(scope="module")
def compress():
    return CompressBatch(60, on_error="null")


def test_pictures_of_equal_size_arrive_as_one_array(compress, photo):
    batch = {"image": np.stack([photo(64, 48), photo(64, 48)[::-1]]), "id": np.arange(2)}
    result = compress(batch)
    assert list(result) == ["image", "id", "vae", "vae_error"]
    assert result["id"] is batch["id"]
    encoder = codec.Encoder(60, threads=1)
    assert list(result["vae"]) == [encoder.encode(picture) for picture in batch["image"]]
    assert list(result["vae_error"]) == [None, None]


def test_mixed_sizes_files_and_bad_rows(compress, photo):
    column = np.empty(4, object)
    file = io.BytesIO()
    Image.fromarray(photo(20, 30)).save(file, "PNG")
    column[:] = [photo(64, 48), file.getvalue(), b"junk", np.zeros((4, 4), np.float32)]
    result = compress({"image": column})
    assert [None if data is None else codec.info(data).width for data in result["vae"]] == [
        64,
        20,
        None,
        None,
    ]
    assert "UnsupportedImage" in result["vae_error"][2]
    assert result["vae_error"][3] is not None


def test_errors_are_raised_by_default():
    strict = CompressBatch(column="bytes", output="coded", lossless=True)
    with pytest.raises(codec.UnsupportedImage):
        strict({"bytes": np.array([b"junk"], object)})
    with pytest.raises(codec.UsageError, match="no column 'bytes'; its columns: image"):
        strict({"image": np.zeros((1, 4, 4, 3), np.uint8)})
    with pytest.raises(codec.UsageError, match="on_error"):
        CompressBatch(on_error="ignore")
