"""Encoder and Decoder in pipelines: pickling, forks, threads, map, pipes and sockets."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import codec
from codec.bitstream.header import Header
from codec.bitstream.sequential_reader import read_file
from codec.limits import DEFAULT_LIMITS


@pytest.fixture(scope="module")
def files(photo):
    """Four small files: RGB, gray, with alpha, of two tiles."""
    rgb = Image.fromarray(photo(64, 48))
    alpha = rgb.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(rgb.size))
    encoder = codec.Encoder(60, threads=1)
    return [encoder.encode(p) for p in (rgb, rgb.convert("L"), alpha, Image.fromarray(photo(520, 40)))]


class Trickle(io.RawIOBase):
    """A source that cannot seek and returns one to three bytes per read."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def readable(self):
        return True

    def read(self, size=-1):
        part = self.data[self.at : self.at + min(size, 1 + self.at % 3)]
        self.at += len(part)
        return part


def test_pickles_as_options(files, photo):
    encoder = codec.Encoder(40, threads=3, strip=True, lossless=True)
    decoder = codec.Decoder(threads=3, limits=codec.Limits(max_pixels=99))
    sent = pickle.dumps((encoder, decoder))
    assert len(sent) < 1_000
    again, bounded = pickle.loads(sent)  # noqa: S301
    assert (again.rate_index, again.threads) == (encoder.rate_index, 3)
    picture = Image.fromarray(photo(20, 10))
    picture.info["dpi"] = (300, 300)
    data = again.encode(picture)
    assert data == encoder.encode(picture)
    back = codec.decompress(data)
    assert "dpi" not in back.info
    assert np.array_equal(np.asarray(back), np.asarray(picture))
    assert (bounded.threads, bounded.limits.max_pixels) == (3, 99)
    with pytest.raises(codec.LimitExceeded):
        bounded.decode(files[0])


CHILD = """
import hashlib, multiprocessing, sys, threading
import torch
import codec
torch.set_num_threads(2)
data = open(sys.argv[1], "rb").read()
decoder = codec.Decoder(threads=2)
if sys.argv[2] == "decoded":
    decoder.decode(data)
# OpenMP's helpers are busy in this thread before the fork, which is what makes a child hang.
(torch.randn(700, 700) @ torch.randn(700, 700)).sum(), torch.randn(2_000_000).exp().sum()
running = True
def keep_decoding():
    while running and sys.argv[2] == "decoded":
        decoder.decode(data)
thread = threading.Thread(target=keep_decoding)
thread.start()
def child(queue):
    queue.put(hashlib.sha256(decoder.decode(data).tobytes()).hexdigest())
    queue.put(len(codec.Encoder(60).encode(decoder.decode(data))))
context = multiprocessing.get_context(sys.argv[3])
if __name__ == "__main__":
    for _ in range(3):
        queue = context.Queue()
        process = context.Process(target=child, args=(queue,))
        process.start()
        print(queue.get(timeout=80), queue.get(timeout=80) > 0)
        process.join()
running = False
thread.join()
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.parametrize("before", ["decoded", "torch only"])
def test_fork_after_torch_does_not_hang(files, tmp_path, before):
    (tmp_path / "a.vae").write_bytes(files[0])
    (tmp_path / "child.py").write_text(CHILD)
    done = subprocess.run(
        [sys.executable, "child.py", "a.vae", before, "fork"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(codec.__file__).parents[1])},
        timeout=100,
    )
    wanted = sha256(codec.Decoder().decode(files[0]).tobytes()).hexdigest()
    assert done.stdout.splitlines() == [f"{wanted} True"] * 3, done.stderr


def test_spawned_pool_takes_a_bound_method(files):
    decoder = codec.Decoder(threads=1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pictures = pool.map(decoder.decode_array, files)
    assert all(np.array_equal(p, decoder.decode_array(f)) for p, f in zip(pictures, files, strict=True))


def test_eight_threads_share_one_decoder(files):
    decoder = codec.Decoder(threads=2)
    with ThreadPoolExecutor(8) as pool:
        hashes = list(pool.map(lambda f: sha256(decoder.decode(f).tobytes()).digest(), files[:2] * 250))
    assert len(hashes) == 500
    assert len(set(hashes[::2])) == len(set(hashes[1::2])) == 1


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_does_not_grow_over_a_thousand_calls(photo):
    """Half of the calls encode, half decode, after some that fill caches and allocators."""

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    encoder, decoder, picture = codec.Encoder(60, threads=2), codec.Decoder(threads=2), photo(64, 64)
    for _ in range(60):
        decoder.decode(encoder.encode(picture))
    before = resident()
    for _ in range(500):
        decoder.decode(encoder.encode(picture))
    assert resident() - before < 20 << 20


def test_context_managers(files, photo):
    with codec.Encoder(60, threads=1) as encoder, codec.Decoder(threads=1) as decoder:
        assert decoder.decode(encoder.encode(photo(9, 7))).size == (9, 7)
    assert decoder.decode(files[0]).size == (64, 48)


def test_decode_from_reads_exactly_one_file(files):
    source = Trickle(b"".join(files) + b"rest")
    decoder = codec.Decoder(threads=1)
    for file in files:
        assert decoder.decode_from(source).tobytes() == decoder.decode(file).tobytes()
    assert source.read(3) + source.read(3) + source.read(3) + source.read(3) == b"rest"


@settings(max_examples=500, deadline=None)
@given(which=st.integers(0, 3), sizes=st.lists(st.integers(1, 600), min_size=1))
def test_files_read_in_pieces_decode_the_same(files, which, sizes):
    """Reads return at most the given numbers of bytes, cyclically; one case is one byte at a time."""
    source, given_back = io.BytesIO(files[which] + b"rest"), itertools.cycle(sizes)

    class Pieces(io.RawIOBase):
        def read(self, size=-1):
            return source.read(min(size, next(given_back)))

    assert read_file(Pieces(), DEFAULT_LIMITS) == files[which]
    assert source.read() == b"rest"


def test_socket_that_stays_open(files):
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rwb", buffering=0) as fp, theirs.makefile("rwb", buffering=0) as other:
        threading.Thread(
            target=lambda: [other.write(files[3][i : i + 100]) for i in range(0, 9000, 100)]
        ).start()
        picture = codec.Decoder().decode_from(fp)
        assert picture.size == (520, 40)
        n_bytes = codec.Encoder(60).encode_to(picture, fp)
        assert codec.Decoder().decode_from(other).size == (520, 40)
        assert n_bytes == len(codec.Encoder(60).encode(picture))


def test_encode_to_a_file_with_short_writes(files, photo):
    class Narrow(io.RawIOBase):
        data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data[:7])
            return min(len(data), 7)

    narrow = Narrow()
    codec.Encoder(60).encode_to(photo(64, 48), narrow)
    assert narrow.data == files[0]


@pytest.mark.parametrize("cut", [0, 3, 9, 20, 40, -5])
def test_truncated_source_is_refused(files, cut):
    with pytest.raises(codec.TruncatedData):
        codec.Decoder().decode_from(Trickle(files[0][:cut]))
    with pytest.raises(codec.BadMagic):
        codec.Decoder().decode_from(io.BytesIO(b"\x89PNG\r\n\x1a\n" * 9))


def test_declared_lengths_allocate_nothing(files):
    """A header, then a chunk with a declared length of almost 4 GiB and no data."""
    head = Header(64, 48, 700, b"\0\0\0\0").pack()
    for kind in (b"\x83", b"\x02"):
        with pytest.raises(codec.LimitExceeded):
            codec.Decoder().decode_from(io.BytesIO(head + kind + b"\xff\xff\xff\xff\x0f"))
    tracemalloc.start()
    with pytest.raises(codec.TruncatedData):
        codec.Decoder().decode_from(io.BytesIO(head + b"\x01\x80\x80\x80\x80\x02"))  # 512 MiB
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


def test_decode_array(files):
    decoder = codec.Decoder(threads=1)
    for file, shape in zip(files, [(48, 64, 3), (48, 64), (48, 64, 4), (40, 520, 3)], strict=True):
        wanted = np.asarray(decoder.decode(file))
        array = decoder.decode_array(file)
        assert array.shape == shape
        assert array.dtype == np.uint8
        assert array.flags.writeable
        assert np.array_equal(array, wanted)
        room = np.zeros((2, *shape), np.uint8, order="F")
        assert decoder.decode_array(file, out=room[1]) is not None
        assert np.array_equal(room[1], wanted)
        assert not room[0].any()
    for out in (np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.float32), wanted):
        with pytest.raises(codec.UsageError, match="out must be"):
            decoder.decode_array(files[0], out=out)


@pytest.mark.parametrize("threads", [1, 3])
def test_map_is_ordered_lazy_and_bounded(photo, threads):
    taken = []

    def pictures():
        for i in range(20):
            taken.append(i)
            yield photo(16 + i, 16)

    encoder = codec.Encoder(60, threads=threads)
    results = encoder.map(pictures())
    assert taken == []
    ahead = []
    files = []
    for i, file in enumerate(results):
        ahead.append(len(taken) - i)
        files.append(file)
    assert max(ahead) <= 2 * threads if threads > 1 else max(ahead) == 1
    assert files == [encoder.encode(photo(16 + i, 16)) for i in range(20)]
    sizes = [picture.width for picture in codec.Decoder(threads=threads).map(files)]
    assert sizes == list(range(16, 36))


def test_map_yields_failures_in_order(files):
    items = [files[0], b"no file", files[1][:-3], files[2]]
    decoder = codec.Decoder(threads=2)
    first, second, third, fourth = decoder.map(items, on_error="yield")
    assert (first.mode, fourth.mode) == ("RGB", "RGBA")
    assert (second.index, type(second.error)) == (1, codec.BadMagic)
    assert (third.index, type(third.error)) == (2, codec.TruncatedData)
    results = decoder.map(items)
    assert next(results).mode == "RGB"
    with pytest.raises(codec.BadMagic):
        next(results)
    with pytest.raises(codec.UsageError, match="on_error"):
        decoder.map(items, on_error="ignore")


def test_map_can_be_closed_early_and_raises_errors_of_its_items(photo):
    def items():
        yield photo(16, 16)
        yield photo(16, 16)
        raise KeyError("the source broke")

    encoder = codec.Encoder(60, threads=2)
    assert len(list(zip(range(1), encoder.map(photo(16, 16) for _ in range(99)), strict=False))) == 1
    with pytest.raises(KeyError, match="the source broke"):
        list(encoder.map(items(), on_error="yield"))


@pytest.mark.parametrize("threads", [1, 4])
def test_results_before_an_error_of_the_items_are_delivered(photo, threads):
    def pictures():
        yield from [photo(16, 16)] * 5
        raise OSError("the source broke off")

    results = codec.Encoder(threads=threads).map(pictures())
    assert [codec.info(next(results)).width for _ in range(5)] == [16] * 5
    with pytest.raises(OSError, match="broke off"):
        next(results)
