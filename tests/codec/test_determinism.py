"""The same picture and options give the same bytes on one machine, whatever else runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import codec
from codec.bitstream.container import parse_container
from codec.decode.decoder import Decoder
from codec.encode.encoder import Encoder


@pytest.fixture(scope="module")
def large(photo):
    return photo(600, 530)


@pytest.fixture(scope="module")
def large_file(large):
    return Encoder(40, threads=1).encode(large)


@pytest.fixture
def restore_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [2, 3, None])
def test_bytes_do_not_depend_on_workers(large, large_file, threads):
    assert codec.info(large_file).tiles == 4
    assert Encoder(40, threads=threads).encode(large) == large_file


@pytest.mark.parametrize("callers", [1, 2, 4])
@pytest.mark.usefixtures("restore_threads")
def test_bytes_and_samples_do_not_depend_on_torch_settings(large, large_file, decode, callers):
    samples = decode(large_file)
    torch.set_num_threads(callers)
    assert Encoder(40, threads=2).encode(large) == large_file
    assert np.array_equal(Decoder(threads=2).decode(large_file), samples)
    assert torch.get_num_threads() == callers


@pytest.mark.parametrize("threads", [1, 3])
def test_samples_differ_by_at_most_one_level_between_thread_counts(large_file, decode, threads):
    difference = np.asarray(Decoder(threads=threads).decode(large_file)).astype(int) - decode(large_file)
    assert np.abs(difference).max() <= 1
    assert np.count_nonzero(difference) <= 1e-4 * difference.size


def test_a_tile_does_not_depend_on_far_tiles(photo, large, large_file):
    """A tile depends on at most 80 pixels of its neighbours: changes further away leave it as it is."""
    changed = large.copy()
    changed[:, 594:] = 255 - changed[:, 594:]
    first, second = map(parse_container, (large_file, Encoder(40).encode(changed)))
    assert bytes(first.tiles[0].words) == bytes(second.tiles[0].words)
    assert bytes(first.tiles[1].words) != bytes(second.tiles[1].words)


def test_eight_threads_share_an_encoder_and_a_decoder(photo):
    encoder, decoder = Encoder(60, threads=2), Decoder(threads=2)
    pictures = [photo(64 + 16 * i, 80) for i in range(4)] + [photo(40, 528)]
    files = [encoder.encode(p) for p in pictures]
    samples = [decoder.decode(f).tobytes() for f in files]
    with ThreadPoolExecutor(8) as pool:
        jobs = [(i % 5, pool.submit(encoder.encode, pictures[i % 5])) for i in range(40)]
        jobs_back = [(i % 5, pool.submit(decoder.decode, files[i % 5])) for i in range(40)]
    assert all(job.result() == files[i] for i, job in jobs)
    assert all(job.result().tobytes() == samples[i] for i, job in jobs_back)
