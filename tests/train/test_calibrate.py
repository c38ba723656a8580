"""Quality is matched with WebP by mean PSNR."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("codec.train.model", reason="needs compressai: see README, Training")

from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX
from codec.errors import TrainingError
from codec.train.calibrate import QUALITIES, TOP, match, measured_rate_indices

pytestmark = pytest.mark.train

DETAIL_FROM = 2304
RATE_INDICES = measured_rate_indices(DETAIL_FROM)
THEIRS = np.linspace(28, 42, len(QUALITIES))


def ours(jump):
    """Return PSNR that rises by 1 dB in 160 rate indices, but by `jump` where detail layers begin."""
    return 25 + RATE_INDICES / 160 + np.where(RATE_INDICES > DETAIL_FROM, jump, 0)


def test_both_sides_of_where_detail_begins_are_measured():
    for detail_from in (2304, 2000):
        found = measured_rate_indices(detail_from).tolist()
        assert {0, detail_from, detail_from + 1, TOP, MAX_HEADER_RATE_INDEX} <= set(found)
        assert found == sorted(set(found))


@pytest.mark.parametrize("jump", [-1.5, -0.2, 0, 0.5, 3])
def test_pairs_increase_from_end_to_end(jump):
    points = match(THEIRS, ours(jump), RATE_INDICES, DETAIL_FROM)
    assert (points[0], points[-1]) == ((0, 0), (100, TOP))
    for column in zip(*points, strict=True):
        assert (np.diff(column) > 0).all()


@pytest.mark.parametrize("jump", [-1.5, 0, 0.5])
def test_matched_pairs_have_equal_psnr(jump):
    points = match(THEIRS, ours(jump), RATE_INDICES, DETAIL_FROM)[1:-1]
    assert len(points) > 12
    for quality, rate_index in points:
        wanted = np.interp(quality, QUALITIES, THEIRS)
        found = 25 + rate_index / 160 + (jump if rate_index > DETAIL_FROM else 0)
        beside = jump > 0 and rate_index in (DETAIL_FROM, DETAIL_FROM + 1)
        assert found == pytest.approx(wanted, abs=jump if beside else 0.01)


def test_qualities_that_no_rate_index_reaches_are_left_out():
    low = match(THEIRS - 5, ours(0), RATE_INDICES, DETAIL_FROM)
    assert low[0] == (0, 0)
    # WebP has 25 dB at quality 17.9.
    assert low[1][0] == 20
    high = match(THEIRS + 5, ours(0), RATE_INDICES, DETAIL_FROM)
    # Vaezip has 45.8 dB at TOP, as WebP at quality 86.1.
    assert high[-2][0] == 85
    assert high[-1] == (100, TOP)


def test_psnr_that_does_not_increase():
    flat = ours(0)
    flat[3] = flat[4]
    with pytest.raises(TrainingError, match="train longer"):
        match(THEIRS, flat, RATE_INDICES, DETAIL_FROM)
    with pytest.raises(TrainingError, match="train longer"):
        match(THEIRS[::-1], ours(0), RATE_INDICES, DETAIL_FROM)


def test_lossless_pictures_at_the_highest_rates():
    lossless = ours(0)
    lossless[-3:] = 100
    assert match(THEIRS, lossless, RATE_INDICES, DETAIL_FROM) == match(
        THEIRS, ours(0), RATE_INDICES, DETAIL_FROM
    )
