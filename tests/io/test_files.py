"""Outputs appear complete or not at all."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from codec.io import files
from codec.io.files import write_atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_new_file_gets_the_mode_of_the_umask(tmp_path):
    for umask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        previous = os.umask(umask)
        try:
            write_atomic(tmp_path / f"{umask}", b"data")
        finally:
            os.umask(previous)
        assert stat.S_IMODE((tmp_path / f"{umask}").stat().st_mode) == mode


def test_existing_file_is_refused_or_replaced_with_its_mode_kept(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(FileExistsError, match="exists already"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["out"]


def test_links_are_followed_and_never_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to("target")
    with pytest.raises(FileExistsError):
        write_atomic(link, b"new")
    assert not target.exists()
    write_atomic(link, b"new", overwrite=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["link", "target"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error):
    def fail(_descriptor):
        raise error

    path = tmp_path / "out"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(type(error)):
        write_atomic(path, b"new", overwrite=True)
    with pytest.raises(type(error)):
        write_atomic(tmp_path / "other", b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def test_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "out"
    sync = os.fsync

    def appear(descriptor):
        path.write_bytes(b"theirs")
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", appear)
    with pytest.raises(FileExistsError, match="exists already"):
        write_atomic(path, b"ours")
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["out"]


def test_file_systems_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_names):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(files.os, "link", refuse)
    write_atomic(tmp_path / "out", b"data")
    assert (tmp_path / "out").read_bytes() == b"data"
    with pytest.raises(FileExistsError):
        files._name_exclusively(tmp_path / "absent", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"data"
    assert names(tmp_path) == ["out"]


def test_devices_and_pipes_are_written_to_and_kept(tmp_path):
    write_atomic(Path(os.devnull), b"data")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write_atomic(pipe, b"data")
    reader.join(timeout=10)
    assert received == [b"data"]
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("name", "error"),
    [(".", IsADirectoryError), ("no/out", FileNotFoundError), ("file/out", NotADirectoryError)],
)
def test_impossible_places(tmp_path, name, error):
    (tmp_path / "file").touch()
    with pytest.raises(error):
        write_atomic(tmp_path / name, b"data", overwrite=True)
    assert names(tmp_path) == ["file"]


def test_long_names_fit(tmp_path):
    write_atomic(tmp_path / ("n" * 255), b"data")
    assert names(tmp_path) == ["n" * 255]
