from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from codec.errors import TrainingError
from codec.train.crops import TILE, CropSource, build_cache, list_pictures, source_of, split_held_out

NAMES = [f"{'abcdefghijklmnopqrstuvwxyz'[i % 26]}{i % 7}x_{i:03}.png" for i in range(400)]


def test_source_of_a_file_name():
    assert source_of("folder/harbour_012.jpg") == source_of("other/harbour-7.png") == "harbour"
    assert source_of("harbour.jpg") == "harbour"
    assert source_of("harbour2_3.jpg") == "harbour2"


def test_whole_sources_are_held_out():
    train, held = split_held_out(NAMES)
    assert sorted(train + held) == sorted(NAMES)
    assert 40 < len(held) <= 64
    assert not {source_of(n) for n in train} & {source_of(n) for n in held}


def test_held_out_set_does_not_depend_on_order_or_run():
    expected = split_held_out(NAMES)[1]
    shuffled = NAMES.copy()
    random.Random(3).shuffle(shuffled)
    assert split_held_out(shuffled)[1] == expected
    # Pinned: a run continued with another release must hold out the same pictures.
    assert split_held_out(["b_1", "a_1", "c_1", "c_2", "d", "e", "f", "g", "h", "i"])[1] == ["d", "f"]


def test_at_most_a_fifth_is_held_out():
    for count in range(1, 40):
        names = [f"source{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(count)]
        train, held = split_held_out(names)
        assert len(held) == count // 5
        assert len(train) == count - count // 5


@pytest.fixture
def plain_tiles(tmp_path):
    """A cache of ten pictures, each of a different flat colour."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for i in range(10):
        Image.new("RGB", (TILE, TILE), (20 * i, 0, 7)).save(folder / f"{'abcdefghij'[i]}_1.png")
    build_cache(folder, tmp_path / "cache.npy")
    return tmp_path / "cache.npy"


def test_crops_come_only_from_training_tiles(plain_tiles):
    crops = CropSource(plain_tiles, seed=1, rank=0)
    assert len(crops.train) == 8
    assert len(crops.held_out) == 2
    seen = {int(c[0, 0, 0]) // 20 for step in range(20) for c in crops.batch(step, 8, 32)}
    assert seen == set(crops.train.tolist())
    held = crops.pictures(crops.held_out)
    assert held.shape == (2, 3, TILE, TILE)
    assert {int(p[0, 0, 0]) // 20 for p in held} == set(crops.held_out.tolist())


def test_crops_depend_only_on_seed_rank_and_step(one_picture, tmp_path):
    build_cache(one_picture, tmp_path / "cache.npy")
    first = CropSource(tmp_path / "cache.npy", seed=5, rank=1)
    for step in range(7):
        first.batch(step, 3, 32)
    again = CropSource(tmp_path / "cache.npy", seed=5, rank=1)
    expected = again.batch(9, 4, 64)
    assert np.array_equal(first.batch(9, 4, 64), expected)
    assert not np.array_equal(first.batch(10, 4, 64), expected)
    for seed, rank in [(6, 1), (5, 0)]:
        other = CropSource(tmp_path / "cache.npy", seed=seed, rank=rank)
        assert not np.array_equal(other.batch(9, 4, 64), expected)


def test_crops_are_parts_of_the_picture_turned_in_all_ways(tmp_path):
    """Samples encode their position, which shows how a crop was turned."""
    folder = tmp_path / "ramp"
    folder.mkdir()
    rows, columns = np.indices((TILE, TILE))
    ramp = np.stack([rows // 2, columns // 2, 128 * (rows % 2) + columns % 2], -1).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "ramp.png")
    build_cache(folder, tmp_path / "cache.npy")
    turns = set()
    for step in range(12):
        for crop in CropSource(tmp_path / "cache.npy", seed=2, rank=0).batch(step, 8, 16).numpy().astype(int):
            place = np.stack([2 * crop[0] + crop[2] // 128, 2 * crop[1] + crop[2] % 128])
            down, right = place[:, 1, 0] - place[:, 0, 0], place[:, 0, 1] - place[:, 0, 0]
            assert sorted(np.abs([down[0], down[1], right[0], right[1]])) == [0, 0, 1, 1]
            i, j = np.indices((16, 16))
            assert np.array_equal(
                place, place[:, :1, :1] + down[:, None, None] * i + right[:, None, None] * j
            )
            turns.add((*down, *right))
    assert len(turns) == 8


def test_cache_holds_every_full_tile(tmp_path):
    folder = tmp_path / "sizes"
    (folder / "below").mkdir(parents=True)
    large = np.random.default_rng(0).integers(0, 256, (2 * TILE + 5, TILE + 9, 3), dtype=np.uint8)
    Image.fromarray(large).save(folder / "below" / "large.png")
    Image.fromarray(large[:40, :30]).save(folder / "small.png")
    build_cache(folder, tmp_path / "cache.npy")
    tiles = np.load(tmp_path / "cache.npy")
    names = (tmp_path / "cache.names").read_text().split("\n")
    assert names == ["below/large.png"] * 2 + ["small.png"]
    assert np.array_equal(tiles[0], large[:TILE, :TILE])
    assert np.array_equal(tiles[1], large[TILE : 2 * TILE, :TILE])
    assert np.array_equal(tiles[2][:40, :30], large[:40, :30])
    assert np.array_equal(tiles[2][40:80], tiles[2][:40][::-1])


def test_faults(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(TrainingError, match="no pictures"):
        list_pictures(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(TrainingError, match=r"broken\.png"):
        build_cache(tmp_path, tmp_path / "cache.npy")
    assert not (tmp_path / "cache.npy").exists()
