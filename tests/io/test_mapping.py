"""Expansion of folders, patterns and URLs, and the paths of their outputs."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from codec.io.mapping import expand, is_picture, target_of

TREE = ("a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tif", "notes.txt", "x.vae", ".hidden.png", ".cache/e.png")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in TREE:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "photos" / "sub" / "loop").symlink_to(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mapped(source: str, output: str | None) -> dict[str, str]:
    return {found.name: target_of(found, output, ".vae") for found in expand(source, is_picture)}


@pytest.mark.parametrize("source", ["photos", "photos/", "./photos"])
def test_folder_mirrors_its_pictures(tree, source):
    assert list(mapped(source, "out").values()) == [
        "out/a.vae", "out/b.vae", "out/sub/c.vae", "out/sub/deep/d.vae",
    ]  # fmt: skip


def test_folder_without_output_writes_beside_its_pictures(tree):
    assert mapped("photos", None) == {
        "photos/a.png": "photos/a.vae",
        "photos/b.JPG": "photos/b.vae",
        "photos/sub/c.webp": "photos/sub/c.vae",
        "photos/sub/deep/d.tif": "photos/sub/deep/d.vae",
    }


@pytest.mark.parametrize(
    ("pattern", "outputs"),
    [
        ("photos/*.png", ["out/a.vae"]),
        ("photos/*/*.webp", ["out/sub/c.vae"]),
        ("photos/s*/**/*.tif", ["out/sub/deep/d.vae"]),
        ("phot*/?.[pJ]*", ["out/photos/a.vae", "out/photos/b.vae"]),
        ("photos/*.gif", ["out/*.vae"]),
    ],
)
def test_pattern_mirrors_the_tree_below_its_fixed_part(tree, pattern, outputs):
    assert list(mapped(pattern, "out").values()) == outputs
    absolute = mapped(f"{tree}/{pattern}", "out")
    assert list(absolute.values()) == outputs


def test_existing_file_is_not_taken_as_a_pattern(tree):
    Path("odd[1]*.dat").touch()
    assert mapped("odd[1]*.dat", "out") == {"odd[1]*.dat": "out/odd[1]*.vae"}
    assert mapped("missing.png", None) == {"missing.png": "missing.vae"}


def test_urls_of_folders_patterns_and_files(tree):
    memory = fsspec.filesystem("memory")
    for name in ("a.png", "sub/b.jpg", "sub/notes.txt"):
        memory.pipe_file(f"/mapping/{name}", b"")
    try:
        assert mapped("memory://mapping/", "memory://out/") == {
            "memory:///mapping/a.png": "memory://out/a.vae",
            "memory:///mapping/sub/b.jpg": "memory://out/sub/b.vae",
        }
        assert list(mapped("memory://mapping/**/*.jpg", "out").values()) == ["out/sub/b.vae"]
        assert mapped("memory://mapping/a.png", None) == {"memory://mapping/a.png": "memory://mapping/a.vae"}
        assert mapped(f"file://{tree}/photos/a.png", None) == {
            f"file://{tree}/photos/a.png": f"file://{tree}/photos/a.vae"
        }
        assert list(mapped(f"file://{tree}/photos", f"file://{tree}/out").values())[-1] == (
            f"file://{tree}/out/sub/deep/d.vae"
        )
    finally:
        memory.rm("/mapping", recursive=True)
