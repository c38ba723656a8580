"""The integer intervals of constriction's models equal the tables, entry by entry."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT
from codec.entropy.range_coder import BEST, TableModels

constriction = pytest.importorskip("constriction", reason="has no wheel for this machine")
START = 2**64 - 1


def _frequencies(model, n):
    """Read back every interval from the coder's state after one symbol."""
    found, expected_left = [], 0
    for symbol in range(n):
        encoder = constriction.stream.queue.RangeEncoder()
        encoder.encode(np.array([symbol], dtype=np.int32), model)
        _, (low, width) = encoder.pos()
        scale = START >> 24
        assert low == scale * expected_left
        assert width % scale == 0
        found.append(width // scale)
        expected_left += width // scale
    return found


def test_every_table_is_exact(tables):
    models = TableModels(tables, BEST)
    for index in range(1, SCALE_COUNT):
        table = tables.r_table(index)
        assert _frequencies(models.r(index), table.size) == table.tolist()
    for rate_point in range(RATE_POINTS):
        for channel in range(tables.z_channels):
            table = tables.z_table(rate_point, channel)
            if table.size > 1:
                assert _frequencies(models.z(rate_point, channel), table.size) == table.tolist()


@pytest.mark.parametrize("bits", range(1, 11))
def test_uniform_intervals_are_equal(tables, bits):
    model = TableModels(tables, BEST).uniform(bits)
    assert _frequencies(model, 1 << bits) == [1 << (24 - bits)] * (1 << bits)


@pytest.mark.parametrize("bits", range(11, 16))
def test_ends_of_wide_uniforms(tables, bits):
    model, scale = TableModels(tables, BEST).uniform(bits), START >> 24
    for symbol in (0, 1, (1 << bits) - 2, (1 << bits) - 1):
        encoder = constriction.stream.queue.RangeEncoder()
        encoder.encode(np.array([symbol], dtype=np.int32), model)
        assert encoder.pos()[1] == (scale * symbol << (24 - bits), scale << (24 - bits))


def test_threads_share_one_model_per_table(tables):
    models = TableModels(tables, BEST)
    barrier = threading.Barrier(8)
    seen = []

    def look():
        barrier.wait()
        seen.append([id(models.r(index)) for index in range(1, SCALE_COUNT)])

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(ids) for ids in seen}) == 1
