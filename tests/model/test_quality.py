from __future__ import annotations

import math

import numpy as np
import pytest

import codec
from codec.bitstream.container import write_container
from codec.bitstream.header import Header
from codec.bitstream.rate_index import (
    MAX_HEADER_RATE_INDEX,
    MAX_RATE_INDEX,
    RATE_POINTS,
    STEP_UNITS,
    nearest_rate_point,
)
from codec.bitstream.tile_payloads import TilePayload
from codec.errors import UsageError
from codec.model.index import ModelEntry, default_model_id, from_rate_index, model_entry, to_rate_index

ENTRY = ModelEntry(b"abcd", "", "", "", ((0.0, 0), (50.0, 800), (52.0, 1000), (100.0, 3400)), {})


@pytest.mark.parametrize(
    ("quality", "rate_index"),
    [(0, 0), (25, 400), (50, 800), (51, 900), (52.0, 1000), (76, 2200), (100, 3400)],
)
def test_rate_index_of_a_quality(quality, rate_index):
    assert to_rate_index(quality, ENTRY) == rate_index


def test_quality_of_a_rate_index():
    assert from_rate_index(0, ENTRY) == 0
    assert from_rate_index(3400, ENTRY) == from_rate_index(MAX_HEADER_RATE_INDEX, ENTRY) == 100
    for quality in np.linspace(0, 100, 201):
        # A step of one rate index is at most 0.07 in quality here.
        assert from_rate_index(to_rate_index(float(quality), ENTRY), ENTRY) == pytest.approx(
            quality, abs=0.04
        )


@pytest.mark.parametrize("bad", [-1, -1e-9, 100.001, 1e9, math.nan, math.inf, -math.inf, True, "75", None])
def test_bad_qualities_are_refused(bad):
    with pytest.raises(UsageError, match="quality"):
        to_rate_index(bad, ENTRY)


def test_installed_calibration_rises_from_end_to_end():
    entry = model_entry(default_model_id())
    rate_indices = [to_rate_index(q / 4, entry) for q in range(401)]
    assert (np.diff(rate_indices) > 0).all()
    assert rate_indices[0] == 0
    assert MAX_RATE_INDEX < rate_indices[-1] <= MAX_HEADER_RATE_INDEX


def test_header_can_store_every_rate_index():
    assert nearest_rate_point(MAX_RATE_INDEX) == RATE_POINTS - 1
    assert MAX_RATE_INDEX == (RATE_POINTS - 1) * STEP_UNITS
    assert [nearest_rate_point(point * STEP_UNITS) for point in range(RATE_POINTS)] == list(
        range(RATE_POINTS)
    )
    assert nearest_rate_point(MAX_RATE_INDEX - STEP_UNITS // 2 - 1) == RATE_POINTS - 2
    assert Header(1, 1, MAX_HEADER_RATE_INDEX, b"abcd").rate_index == MAX_HEADER_RATE_INDEX
    with pytest.raises(UsageError, match="rate_index"):
        Header(1, 1, MAX_HEADER_RATE_INDEX + 1, b"abcd")


def test_info_uses_the_calibration_of_the_files_model():
    model_id = default_model_id()
    entry = model_entry(model_id)
    tile = TilePayload(0, 0, 0, b"").pack()
    for rate_index in (0, 700, MAX_RATE_INDEX, MAX_HEADER_RATE_INDEX):
        found = codec.info(write_container(Header(8, 8, rate_index, model_id), [tile]))
        assert (found.rate_index, found.quality) == (rate_index, from_rate_index(rate_index, entry))
    other = codec.info(write_container(Header(8, 8, 700, b"none"), [tile]))
    assert (other.rate_index, other.quality) == (700, None)
