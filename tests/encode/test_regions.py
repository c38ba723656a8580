"""Regions of interest: quality rises inside them, at equal bytes, and any decoder reads the files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import codec
from codec.bitstream.container import parse_container
from codec.bitstream.geometry import tile_grid
from codec.encode.options import Region, parse_region

SIZE = (400, 300)


def error(data, x, box=None):
    left, top, width, height = box or (0, 0, x.shape[1], x.shape[0])
    part = np.s_[top : top + height, left : left + width]
    x_hat = np.asarray(codec.decompress(data)).astype(np.float64)
    return 10 * np.log10(255**2 / np.square(x_hat[part] - x[part]).mean())


def test_region_has_a_higher_psnr_at_equal_bytes(photo):
    x, box = photo(*SIZE), (20, 150, 90, 90)
    plain = codec.compress(x, quality=40, effort=0)
    text = ",".join(map(str, box))
    tuned = codec.compress(x, roi=text, target_size=len(plain), effort=0)
    assert len(tuned) <= len(plain)
    assert error(tuned, x, box) >= error(plain, x, box) + 1
    header = parse_container(tuned).header
    offsets = [tile.rate_offset for tile in parse_container(tuned).tiles]
    inside = [
        t.x < 110 and t.x + t.width > 20 and t.y < 240 and t.y + t.height > 150
        for t in tile_grid(*SIZE, header.tile_size)
    ]
    assert all((offset > 0) == here for offset, here in zip(offsets, inside, strict=True))


def test_mask_sets_the_quality_boost(photo, tmp_path):
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[:128, :128], mask[128:256, :128] = 255, 128
    Image.fromarray(mask).save(tmp_path / "mask.png")
    data = codec.compress(photo(*SIZE), quality=50, roi=f"{tmp_path / 'mask.png'}:+20", effort=0)
    offsets = [tile.rate_offset for tile in parse_container(data).tiles]
    full, half = offsets[0], offsets[4]
    assert full > half > 0
    assert half == pytest.approx(full / 2, rel=0.3)
    assert not any(offset for index, offset in enumerate(offsets) if index not in (0, 4))


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("1,2,3,4", Region((1, 2, 3, 4), "", 30)),
        ("1,2,3,4:+7.5", Region((1, 2, 3, 4), "", 7.5)),
        ("1,2,3,4:-20", Region((1, 2, 3, 4), "", -20)),
        ("a:b/mask.png", Region(None, "a:b/mask.png", 30)),
        ("mask.png:+5", Region(None, "mask.png", 5)),
    ],
)
def test_regions_are_parsed(text, region):
    assert parse_region(text) == region


@pytest.mark.parametrize("text", ["", "1,2,0,4", "-1,2,3,4", "1,2,3,4:+101", 7])
def test_bad_regions_are_refused(text):
    with pytest.raises(codec.UsageError):
        parse_region(text)


def test_regions_and_masks_outside_the_picture_are_refused(photo, tmp_path):
    with pytest.raises(codec.UsageError, match="does not lie in a picture of 60x50"):
        codec.compress(photo(60, 50), roi="0,0,61,50")
    Image.new("L", (50, 60)).save(tmp_path / "mask.png")
    with pytest.raises(codec.UsageError, match="must be of the picture's size"):
        codec.compress(photo(60, 50), roi=str(tmp_path / "mask.png"))
    with pytest.raises(codec.UsageError, match="psnr, visual"):
        codec.Encoder(tune="nice")
