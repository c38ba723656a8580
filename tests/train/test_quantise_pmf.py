from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.errors import UsageError
from codec.train.probability_tables import quantise_pmf


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=300).filter(lambda p: 1e-300 < sum(p) < 1e301))
def test_integers_at_least_one_that_sum_to_the_total(pmf):
    k = quantise_pmf(np.array(pmf))
    assert k.dtype == np.uint32
    assert k.min() >= 1
    assert int(k.sum(dtype=np.uint64)) == 1 << 24


def test_quantisation_costs_below_a_thousandth_of_a_bit():
    p = np.exp(-0.5 * (np.arange(-1500, 1501) / 256) ** 2)
    p /= p.sum()
    q = quantise_pmf(p) / 2.0**24
    assert float((p * np.log2(p / q))[p > 0].sum()) < 1e-3


def test_ties_go_to_the_lower_index():
    assert quantise_pmf(np.ones(3)).tolist() == [5592406, 5592405, 5592405]


@pytest.mark.parametrize("pmf", [[], [0.0, 0.0], [-1.0, 2.0], [np.nan], [np.inf, 1.0], [[1.0]]])
def test_bad_probabilities_are_refused(pmf):
    with pytest.raises(UsageError, match="pmf"):
        quantise_pmf(np.array(pmf))
