"""Fetching data sets from a local HTTP server."""

from __future__ import annotations

import functools
import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from codec import datasets
from codec.errors import BenchmarkError, UsageError

CONTENT = {"one.png": b"first picture", "two three.png": b"second picture"}


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A served folder and its URL; the data set consists of CONTENT."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, data in CONTENT.items():
        (folder / name).write_bytes(data)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()}
    monkeypatch.setattr(datasets.DataSet, "sha256", lambda self: sums)
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(folder, address):
    return dict(datasets.fetch("kodak", folder, address))


def test_fetches_what_is_missing(mirror, tmp_path):
    target = tmp_path / "new" / "kodak"
    assert fetch(target, mirror[1]) == dict.fromkeys(CONTENT, True)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == CONTENT
    (target / "one.png").unlink()
    assert fetch(target, mirror[1]) == {"one.png": True, "two three.png": False}


def test_refuses_other_content_and_writes_nothing(mirror, tmp_path):
    (mirror[0] / "one.png").write_bytes(b"something else")
    with pytest.raises(BenchmarkError, match=r"one\.png: differs from the known file"):
        fetch(tmp_path / "kodak", mirror[1])
    assert not list((tmp_path / "kodak").iterdir())


def test_keeps_a_local_file_with_other_content(mirror, tmp_path):
    target = tmp_path / "kodak"
    target.mkdir()
    (target / "one.png").write_bytes(b"mine")
    with pytest.raises(BenchmarkError, match="move it away"):
        fetch(target, mirror[1])
    assert (target / "one.png").read_bytes() == b"mine"


def test_names_a_missing_file(mirror, tmp_path):
    (mirror[0] / "two three.png").unlink()
    with pytest.raises(BenchmarkError, match=r"two%20three\.png: cannot be fetched \(File not found\)"):
        fetch(tmp_path / "kodak", mirror[1])


def test_names_an_unreachable_address(tmp_path, mirror):
    with pytest.raises(BenchmarkError, match="cannot be fetched"):
        fetch(tmp_path / "kodak", "http://127.0.0.1:1/")


@pytest.mark.parametrize("address", ["file:///etc", "kodak", "ftp://example.org"])
def test_refuses_other_url_schemes(tmp_path, address):
    with pytest.raises(UsageError, match="not an http"):
        fetch(tmp_path / "kodak", address)


def test_kodak_has_24_files():
    sums = datasets.DATA_SETS["kodak"].sha256()
    assert sorted(sums) == [f"kodim{number:02}.png" for number in range(1, 25)]
    assert {len(digest) for digest in sums.values()} == {64}
