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
from codec.model.config import ModelConfig
from codec.model.index import (
    ModelEntry,
    clamped_above,
    clamped_below,
    default_model_id,
    from_rate_index,
    model_entry,
    to_rate_index,
)

ENTRY = ModelEntry(b"abcd", "", "", "", ((20.0, 0), (50.0, 800), (52.0, 1000), (90.0, 2560)), {})


@pytest.mark.parametrize(
    ("quality", "rate_index"),
    [(0, 0), (20, 0), (35, 400), (50, 800), (51, 900), (52.0, 1000), (71, 1780), (90, 2560), (100, 2560)],
)
def test_rate_index_of_a_quality(quality, rate_index):
    assert to_rate_index(quality, ENTRY) == rate_index


def test_quality_of_a_rate_index():
    assert from_rate_index(0, ENTRY) == clamped_below(ENTRY) == 20
    assert from_rate_index(2560, ENTRY) == clamped_above(ENTRY) == 90
    for quality in np.linspace(20, 90, 141):
        # A step of one rate index is at most 0.05 in quality here.
        assert from_rate_index(to_rate_index(float(quality), ENTRY), ENTRY) == pytest.approx(
            quality, abs=0.05
        )


@pytest.mark.parametrize("bad", [-1, -1e-9, 100.001, 1e9, math.nan, math.inf, -math.inf, True, "75", None])
def test_bad_qualities_are_refused(bad):
    with pytest.raises(UsageError, match="quality"):
        to_rate_index(bad, ENTRY)


def test_installed_calibration_rises_from_end_to_end():
    entry = model_entry(default_model_id())
    rate_indices = [to_rate_index(q / 4, entry) for q in range(401)]
    assert rate_indices == sorted(rate_indices)
    assert rate_indices[0] == 0
    assert MAX_RATE_INDEX < rate_indices[-1] <= MAX_HEADER_RATE_INDEX
    low, high = clamped_below(entry), clamped_above(entry)
    assert 0 <= low < high <= 100
    inside = [to_rate_index(float(q), entry) for q in np.linspace(low, high, 50)]
    assert (np.diff(inside) > 0).all()


def test_header_can_store_every_rate_index():
    assert nearest_rate_point(MAX_RATE_INDEX) == RATE_POINTS - 1
    assert MAX_RATE_INDEX == (RATE_POINTS - 1) * STEP_UNITS
    assert [nearest_rate_point(point * STEP_UNITS) for point in range(RATE_POINTS)] == list(
        range(RATE_POINTS)
    )
    assert nearest_rate_point(MAX_RATE_INDEX - STEP_UNITS // 2 - 1) == RATE_POINTS - 2
    for rate_index in (MAX_RATE_INDEX, MAX_HEADER_RATE_INDEX):
        assert Header(1, 1, rate_index, b"abcd").rate_index == rate_index
    with pytest.raises(UsageError, match="rate_index"):
        Header(1, 1, MAX_HEADER_RATE_INDEX + 1, b"abcd")


def test_base_rate_index_of_a_picture():
    config = ModelConfig(detail_from=2304, detail_base=1664)
    found = [config.base_rate_index(rate_index) for rate_index in (0, 2304, 2305, 2560, 3840)]
    assert found == [0, 2304, 1664, 1664, 1664]
    assert ModelConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("wrong", [{"detail_from": 2561}, {"detail_base": -1}, {"detail_base": 0.5}])
def test_base_rate_index_outside_the_format_is_refused(wrong):
    with pytest.raises(ValueError, match="detail_base"):
        ModelConfig(**wrong)


def test_info_uses_the_calibration_of_the_files_model():
    model_id = default_model_id()
    entry = model_entry(model_id)
    tile = TilePayload(0, 0, 0, b"").pack()
    for rate_index in (0, 700, MAX_RATE_INDEX):
        found = codec.info(write_container(Header(8, 8, rate_index, model_id), [tile]))
        assert (found.rate_index, found.quality) == (rate_index, from_rate_index(rate_index, entry))
    other = codec.info(write_container(Header(8, 8, 700, b"none"), [tile]))
    assert (other.rate_index, other.quality) == (700, None)
