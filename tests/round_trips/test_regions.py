"""A decoded region equals that part of the whole picture and needs only its own tiles."""

from __future__ import annotations

import numpy as np
import pytest

import codec
from codec.bitstream.container import locate_tiles
from codec.tiles import synthesis


@pytest.fixture(scope="module")
def large(photo, encoder, decoder):
    """A picture of 3x3 tiles: (data, samples)."""
    data = encoder.encode(photo(1200, 1100))
    return data, np.asarray(decoder.decode(data))


@pytest.mark.parametrize(
    "region",
    [
        (0, 0, 1, 1),
        (1199, 1099, 1, 1),
        (500, 505, 30, 20),
        (16, 32, 512, 64),
        (0, 0, 1200, 1100),
        (3, 700, 1190, 9),
    ],
)
def test_region_equals_a_crop_of_the_whole(decoder, large, region):
    data, whole = large
    x, y, width, height = region
    part = np.asarray(decoder.decode(data, region=region)).astype(int)
    difference = np.abs(part - whole[y : y + height, x : x + width])
    assert part.shape == (height, width, 3)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 1e-3 * difference.size + 1


def test_damage_outside_the_region_is_ignored(decoder, large):
    data = bytearray(large[0])
    span = locate_tiles(bytes(data)).spans[8]
    data[span.offset + 20] ^= 0x40
    part = decoder.decode(data, region=(0, 0, 300, 300))
    assert np.array_equal(part, decoder.decode(large[0], region=(0, 0, 300, 300)))
    with pytest.raises(codec.ChecksumMismatch):
        decoder.decode(data)
    with pytest.raises(codec.ChecksumMismatch):
        # Its latent affects the neighbour.
        decoder.decode(data, region=(1000, 1000, 10, 10))


@pytest.mark.parametrize(
    "region", [(-1, 0, 5, 5), (0, 0, 0, 5), (0, 0, 1201, 5), (1199, 0, 2, 5), (0, 1100, 1, 1)]
)
def test_outside_is_refused(decoder, large, region):
    with pytest.raises(codec.UsageError, match="1200x1100"):
        decoder.decode(large[0], region=region)


def test_decoding_in_strips_gives_the_same_samples(decoder, large, monkeypatch):
    data, whole = large
    monkeypatch.setattr(synthesis, "TILES_AT_A_TIME", 1)
    difference = np.abs(np.asarray(decoder.decode(data)).astype(int) - whole)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 1e-3 * difference.size


def test_progress_counts_every_tile(encoder, decoder, photo):
    seen = []
    data = encoder.encode(photo(600, 530), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    seen.clear()
    decoder.decode(data, progress=lambda done, total: seen.append((done, total)))
    assert sorted(seen) == [(1, 4), (2, 4), (3, 4), (4, 4)]
