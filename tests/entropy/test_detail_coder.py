"""The coder of the detail layer: round trips, refusals, tables, and agreement with the plain decoder."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codec.bitstream.container import parse_container
from codec.encode.encoder import Encoder
from codec.entropy import reference
from codec.entropy.detail_coder import (
    CODE_BITS,
    MEANS,
    DetailCoder,
    detail_crc,
    mean_codes,
    scale_index_starts,
    scale_indices_of,
)
from codec.entropy.detail_context import (
    MAGNITUDE_MAX,
    MEAN_MAX,
    DetailTables,
    bands,
    mean_code,
    mean_value,
    members,
)
from codec.entropy.range_coder import PLAIN
from codec.errors import CodecError, CorruptPayload, UsageError, WeightsError
from codec.inference.weights import load_model
from codec.model.index import default_model_id


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 2), (5, 4)])
@pytest.mark.parametrize("spread", [0.3, 3, 60, 3000])
def test_round_trip(detail_tables, draw_detail, size, spread):
    q = draw_detail(*size, spread)
    coder = DetailCoder(detail_tables)
    decoded = coder.decode(coder.encode(q, 1), 1, *size).q
    assert decoded.dtype == np.int16
    assert np.array_equal(decoded, q)


def test_round_trip_of_extremes(detail_tables):
    q = np.full((3, 16, 16, 2, 3), 32767, np.int16)
    q[:, ::2] = -32767
    coder = DetailCoder(detail_tables)
    assert np.array_equal(coder.decode(coder.encode(q, 1), 1, 2, 3).q, q)


def test_zeros_take_at_most_one_word(detail_tables):
    q = np.zeros((3, 16, 16, 4, 4), np.int16)
    coder = DetailCoder(detail_tables)
    assert len(coder.encode(q, 1)) <= 4
    assert not coder.decode(coder.encode(q, 1), 1, 4, 4).q.any()


def test_plain_range_coder_writes_the_same(detail_tables, draw_detail):
    q = draw_detail(2, 2, 5)
    words = DetailCoder(detail_tables).encode(q, 1)
    assert DetailCoder(detail_tables, PLAIN).encode(q, 1) == words
    assert np.array_equal(DetailCoder(detail_tables, PLAIN).decode(words, 1, 2, 2).q, q)


def test_mean_codes_of_the_caller(detail_tables, draw_detail):
    q = draw_detail(3, 3, 5)
    codes = np.maximum(mean_codes(q), 9)
    coder = DetailCoder(detail_tables)
    assert np.array_equal(coder.decode(coder.encode(q, 0, codes), 0, 3, 3).q, q)


def test_coefficients_in_a_band_without_mean_are_refused(detail_tables, draw_detail):
    q = draw_detail(3, 3, 5)
    codes = mean_codes(q)
    codes[0, 0] = 0
    with pytest.raises(UsageError):
        DetailCoder(detail_tables).encode(q, 0, codes)


def test_damage_is_refused_or_changes_the_crc(detail_tables, draw_detail):
    q = draw_detail(3, 3, 8)
    coder = DetailCoder(detail_tables)
    words = coder.encode(q, 1)
    rng = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(words)
        damaged[rng.integers(len(words) - 4)] ^= 1 << int(rng.integers(8))
        try:
            decoded = coder.decode(bytes(damaged), 1, 3, 3).q
        except CodecError:
            continue
        assert detail_crc(decoded) != detail_crc(q)


def test_words_left_over_are_refused(detail_tables, draw_detail):
    coder = DetailCoder(detail_tables)
    words = coder.encode(draw_detail(2, 1, 4), 0) + b"\1\0\0\0" * 3
    for decode in (
        lambda: coder.decode(words, 0, 2, 1),
        lambda: coder.decode(words[:-3], 0, 2, 1),
        lambda: coder.decode(words + bytes(4), 0, 2, 1),
    ):
        with pytest.raises(CorruptPayload):
            decode()


def test_mean_code_out_of_range_is_refused(detail_tables, plain_detail):
    coder = DetailCoder(detail_tables)
    encoder = coder._models.range_coder.encoder()
    codes = np.full(MEANS, MEAN_MAX + 1, np.int32)
    encoder.encode(codes, coder._models.uniform(CODE_BITS))
    words = np.trim_zeros(encoder.get_compressed(), "b").astype("<u4").tobytes()
    with pytest.raises(CorruptPayload, match="mean code"):
        coder.decode(words, 1, 2, 2)
    with pytest.raises(CorruptPayload, match="mean code"):
        reference.decode_detail(words, plain_detail(detail_tables), 1, 2, 2)


def test_bands_partition_the_frequencies():
    seen = np.zeros((16, 16), int)
    for own in bands():
        seen[own.u, own.v] += 1
        assert (own.u + own.v == own.k).all()
    assert (seen == 1).all()


def test_parities_partition_a_band():
    assert (members(3, 0, 3, 5) ^ members(3, 1, 3, 5)).all()


def test_bounds_of_scale_indices_are_exact():
    starts = [int(start) for start in scale_index_starts()]
    for scale_index, start in enumerate(starts, 2):
        assert start**3 >= 1 << (17 + scale_index) > (start - 1) ** 3
    values = np.array([-5, 0, starts[0] - 1, starts[0], 2**31 - 1], np.int32)
    assert scale_indices_of(values).tolist() == [1, 1, 1, 2, 63]


def test_mean_codes_name_half_octaves():
    codes = (1, 2, 3, 21, MEAN_MAX)
    assert [mean_value(code) for code in codes] == [64, 90, 128, 1 << 16, (MAGNITUDE_MAX + 1) << 16]
    for code in range(1, MEAN_MAX + 1):
        assert mean_code(mean_value(code) / 65536) == code


def assert_same_as_reference(tables, plain, words, transform, rows, columns):
    fast = DetailCoder(tables).decode(words, transform, rows, columns)
    d, scale_index = reference.decode_detail(words, plain, transform, rows, columns)
    q, indices = np.zeros_like(fast.q), np.zeros_like(fast.scale_index)
    for at, value in d.items():
        q[at], indices[at] = value, scale_index[at]
    assert np.array_equal(q, fast.q)
    assert np.array_equal(indices, fast.scale_index)
    assert reference.detail_crc(d, rows, columns) == detail_crc(fast.q)
    return fast


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1), (2, 3), (4, 4)])
@pytest.mark.parametrize(("transform", "spread"), [(0, 2), (1, 60), (0, 9000)])
def test_plain_decoder_agrees(detail_tables, plain_detail, draw_detail, size, transform, spread):
    q = draw_detail(*size, spread, seed=sum(size))
    words = DetailCoder(detail_tables).encode(q, transform)
    found = assert_same_as_reference(detail_tables, plain_detail(detail_tables), words, transform, *size)
    assert np.array_equal(found.q, q)
    assert len(np.unique(found.scale_index)) > 6


def test_plain_decoder_agrees_where_bands_are_empty(detail_tables, plain_detail, draw_detail):
    q = draw_detail(2, 3, 4)
    for band in (0, 2, 5):
        q[1, bands()[band].u, bands()[band].v] = 0
    q[2] = 0
    words = DetailCoder(detail_tables).encode(q, 0)
    found = assert_same_as_reference(detail_tables, plain_detail(detail_tables), words, 0, 2, 3)
    assert np.array_equal(found.q, q)


@pytest.mark.parametrize("size", [(45, 37), (16, 80)])
@pytest.mark.parametrize("quality", [99, 100])
def test_plain_decoder_agrees_on_files(plain_detail, photo, monkeypatch, size, quality):
    monkeypatch.setattr("codec.encode.tile_coder.may_pay", lambda *_: False)
    detail = parse_container(Encoder(quality, threads=1).encode(photo(*size))).tiles[0].detail
    tables = load_model(default_model_id()).detail.tables
    rows, columns = -(-size[1] // 16), -(-size[0] // 16)
    words = bytes(detail.words)
    found = assert_same_as_reference(tables, plain_detail(tables), words, detail.transform, rows, columns)
    assert detail_crc(found.q) == detail.crc
    assert found.q.any()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("weight", lambda a: a[:1]),
        ("weight", lambda a: a.astype(np.int64)),
        ("weight", lambda a: a + 70_000),
        ("weight", lambda a: np.where(np.arange(17) == 16, 2**30, a).astype(np.int32)),
        ("shape", lambda a: a - 9000),
        ("shape", lambda a: a + (1 << 17)),
        ("half", lambda a: a[:-1]),
        ("half", lambda a: a + 1),
        ("freq", lambda a: a[:-1]),
        ("lean", lambda a: a - 0.9),
        ("lean", lambda a: a * np.float32("nan")),
    ],
)
def test_wrong_tensors_are_refused(detail_tables, name, change):
    wrong = dataclasses.replace(detail_tables, **{name: change(getattr(detail_tables, name))})
    with pytest.raises(WeightsError):
        DetailTables.from_arrays(wrong.to_arrays())


def test_missing_tensor_is_refused(detail_tables):
    arrays = detail_tables.to_arrays()
    del arrays["detail.half"]
    with pytest.raises(WeightsError, match=r"detail\.half"):
        DetailTables.from_arrays(arrays)
