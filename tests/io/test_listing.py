"""Entries of a folder or pattern that cannot be opened are reported and do not affect the others."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from codec.batch import compress_many
from codec.cli.main import main
from codec.io.listing import NothingFound
from codec.io.mapping import expand, is_picture, pictures_below

NOBODY = 65534


@contextmanager
def without_privileges():
    """Drop root's privileges, so that permissions apply."""
    if os.geteuid() != 0:
        yield
        return
    if not hasattr(os, "setresuid"):
        pytest.skip("runs as root, which may read everything")
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def album(monkeypatch, photo):
    """A folder with a picture and a subfolder with a picture, readable by all; its parent is current."""
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        (top / "album" / "sub").mkdir(parents=True)
        for name in ("a.png", "sub/b.png"):
            Image.fromarray(photo(16, 16)).save(top / "album" / name)
        top.chmod(0o777)
        (top / "album").chmod(0o777)
        monkeypatch.chdir(top)
        yield top / "album"
        os.chdir(Path(__file__).parent)


def errors(source):
    return {found.name: found.error.errno for found in expand(source, is_picture) if found.error is not None}


def names(source):
    return [found.name for found in expand(source, is_picture) if found.error is None]


@pytest.mark.parametrize("source", ["album", "album/**/*.png", "album/*/*.png", "album/sub*/b.png"])
def test_unreadable_subfolder(album, source):
    (album / "sub").chmod(0)
    try:
        with without_privileges():
            assert errors(source) == {"album/sub": errno.EACCES}
            assert names(source) == (["album/a.png"] if source in ("album", "album/**/*.png") else [])
            with pytest.raises(PermissionError, match="left out"):
                pictures_below(album.relative_to(album.parent))
    finally:
        (album / "sub").chmod(0o777)


@pytest.mark.parametrize("kind", ["pipe", "socket", "link to a pipe"])
@pytest.mark.parametrize("source", ["album", "album/**", "album/*/*.png"])
def test_special_files_are_not_opened(album, kind, source):
    special = "album/sub/c.png"
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(special)
    else:
        os.mkfifo("pipe" if kind.startswith("link") else special)
    if kind.startswith("link"):
        os.symlink("../../pipe", special)
    assert errors(source) == {special: errno.EINVAL}
    assert "album/sub/b.png" in names(source)


def deep_tree(top):
    """Make nested folders in `top` with a path too long for a system call, and a picture at the bottom."""
    folder = os.open(top, os.O_RDONLY)
    for _ in range(os.pathconf(top, "PC_PATH_MAX") // 200 + 1):
        os.mkdir("d" * 200, dir_fd=folder)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("deep.png", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)


@pytest.mark.parametrize("source", ["album", "album/**/*.png"])
def test_tree_with_paths_that_are_too_long(album, source):
    deep_tree(album)
    assert list(errors(source).values()) == [errno.ENAMETOOLONG]
    assert names(source) == ["album/a.png", "album/sub/b.png"]


@pytest.mark.parametrize("source", ["empty", "album/*.gif", "album/**/no/*.png", "none/*.png", "none/**"])
def test_empty_inputs_have_an_error_of_their_own(album, source):
    os.mkdir("empty")
    (found,) = expand(source, is_picture)
    assert isinstance(found.error, NothingFound)
    assert ("folder" if source == "empty" else "pattern") in found.error.strerror
    (result,) = compress_many([source])
    assert result.error is found.error or isinstance(result.error, NothingFound)


def test_each_failure_affects_only_itself(album, capsys):
    """The only readable picture is compressed; each other entry is one line, and the exit code is 1."""
    os.mkdir("before")
    # Loads modules that the other user may not be allowed to read.
    assert main(["batch", "album/a.png", "-o", "before", "-j", "1", "-Q"]) == 0
    os.mkfifo("album/c.png")
    os.mkdir("empty")
    (album / "sub").chmod(0)
    (album.parent / "secret.png").write_bytes(b"")
    (album.parent / "secret.png").chmod(0)
    try:
        with without_privileges():
            code = main(["batch", "album", "empty", "secret.png", "gone.png", "-o", "out", "-j", "1", "-Q"])
    finally:
        (album / "sub").chmod(0o777)
    assert code == 1
    assert sorted(line.split(";")[0] for line in capsys.readouterr().err.splitlines()) == [
        "vaezip: album/c.png: is a pipe, socket or device, not a regular file",
        "vaezip: album/sub: is left out: Permission denied",
        "vaezip: gone.png: No such file or directory",
        "vaezip: secret.png: Permission denied",
        "vaezip: warning: empty: this folder holds no such files",
    ]
    assert [path.name for path in (album.parent / "out").iterdir()] == ["a.vae"]


def test_empty_folder_beside_pictures_is_not_a_failure(album):
    os.mkdir("empty")
    assert main(["batch", "album", "empty", "-o", "out", "-j", "1", "-Q"]) == 0
