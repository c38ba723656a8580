from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codec.entropy.tables import EntropyTables
from codec.errors import WeightsError


def test_arrays_round_trip_under_the_names_of_weights_files(tables):
    arrays = tables.to_arrays()
    assert sorted(arrays) == [f"entropy.{n}" for n in ("r_freq", "r_half", "z_freq", "z_lo", "z_size")]
    again = EntropyTables.from_arrays(arrays | {"unrelated": np.zeros(3)})
    for name, array in again.to_arrays().items():
        assert np.array_equal(array, arrays[name])
        assert not array.flags.writeable


def test_missing_tensor_is_named(tables):
    arrays = tables.to_arrays()
    del arrays["entropy.z_lo"]
    with pytest.raises(WeightsError, match=r"entropy\.z_lo"):
        EntropyTables.from_arrays(arrays)


def _changed(array, index, value):
    copy = array.copy()
    copy[index] = value
    return copy


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("r_half", lambda a: a.astype(np.int64)),
        ("r_half", lambda a: a[:-1]),
        ("r_half", lambda a: _changed(a, 0, 1)),
        ("r_half", lambda a: _changed(a, 5, 0)),
        ("r_half", lambda a: _changed(a, 5, -7)),
        ("r_half", lambda a: _changed(a, 5, 32768)),
        ("r_half", lambda a: _changed(a, 5, a[5] + 1)),
        ("r_freq", lambda a: a[:-1]),
        ("r_freq", lambda a: a.reshape(1, -1)),
        ("r_freq", lambda a: _changed(a, 3, a[3] + 1)),
        ("r_freq", lambda a: _changed(a, 3, 0)),
        ("r_freq", lambda a: a.astype(np.int32)),
        ("z_lo", lambda a: a[:7]),
        ("z_lo", lambda a: a[:, :0]),
        ("z_lo", lambda a: _changed(a, (2, 1), -128)),
        ("z_size", lambda a: _changed(a, (2, 1), 0)),
        ("z_size", lambda a: _changed(a, (2, 1), 256)),
        ("z_size", lambda a: a[:, :-1]),
        ("z_freq", lambda a: np.append(a, a[-1:])),
        ("z_freq", lambda a: _changed(a, 0, 1)),
    ],
)
def test_every_violation_is_refused(tables, name, change):
    broken = dataclasses.replace(tables, **{name: change(getattr(tables, name))})
    with pytest.raises(WeightsError, match=r"entropy\."):
        broken.validate()


def test_clamp_z_reaches_exactly_the_support(tables):
    wide = np.array([-1000.0, 0.0, 1000.0]).reshape(1, 1, 3).repeat(tables.z_channels, 0)
    clamped = tables.clamp_z(wide, 3)
    assert clamped.dtype == np.int16
    low = tables.z_lo[3]
    assert np.array_equal(clamped[:, 0, 0], low)
    assert np.array_equal(clamped[:, 0, 2], low + tables.z_size[3] - 1)
