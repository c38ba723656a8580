from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream.rate_index import RATE_POINTS
from codec.encode.rdo.decision import ideal_bits
from codec.entropy import reference
from codec.entropy.coder import symbol_crc
from codec.entropy.steps import STEPS, step_of
from codec.errors import CodecError, CorruptPayload, UsageError


def _decode(coder, words, z_shape, scale_index, rate_point=0):
    decoder = coder.decoder(words, rate_point)
    z = decoder.z(*z_shape[1:])
    for _ in range(STEPS):
        r = decoder.r(scale_index)
    decoder.finish()
    return z, r


def _decode_plain(plain, words, z_shape, scale_index, rate_point=0):
    decoder = reference.RangeDecoder(words)
    z = reference.decode_z(decoder, plain, rate_point, *z_shape[1:])
    indices = scale_index.tolist()
    r = reference.decode_r(decoder, plain, scale_index.shape, lambda *_: indices)
    decoder.finish()
    return z, r


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), rate_point=st.integers(0, 7), coded=st.sampled_from([0.0, 0.1, 1.0]))
def test_fast_coder_agrees_with_the_plain_coders(coder, plain, plain_encode, draw, seed, rate_point, coded):
    z, r, scale_index = draw(seed, rate_point=rate_point, coded=coded, escape=0.2)
    words = coder.encode(z, r, scale_index, rate_point)
    assert words == plain_encode(z, r, scale_index, rate_point)
    z_hat, r_hat = _decode(coder, words, z.shape, scale_index, rate_point)
    assert z_hat.dtype == r_hat.dtype == np.int16
    assert np.array_equal(z_hat, z)
    assert np.array_equal(r_hat, r)
    z_ref, r_ref = _decode_plain(plain, words, z.shape, scale_index, rate_point)
    assert z_ref == z.tolist()
    assert r_ref == r.tolist()
    assert reference.symbol_crc(z_ref, r_ref) == symbol_crc(z, r)


@settings(max_examples=60, deadline=None)
@given(
    indices=st.lists(st.integers(0, 63), min_size=4, max_size=4),
    values=st.lists(st.integers(-32767, 32767), min_size=4, max_size=4),
)
def test_any_residual_survives(coder, plain, tables, indices, values):
    scale_index = np.array(indices, dtype=np.uint8).reshape(1, 2, 2)
    r = np.where(scale_index > 0, np.array(values).reshape(1, 2, 2), 0).astype(np.int16)
    z = tables.clamp_z(np.zeros((tables.z_channels, 1, 1)), 0)
    words = coder.encode(z, r, scale_index, 0)
    assert np.array_equal(_decode(coder, words, z.shape, scale_index)[1], r)
    assert _decode_plain(plain, words, z.shape, scale_index)[1] == r.tolist()


def test_every_symbol_of_every_table(coder, plain, tables):
    """Each index sees all its values, the first escape on both sides, and the last."""
    rows = []
    for index in range(1, 64):
        half = min(int(tables.r_half[index]), 40)
        top = int(tables.r_half[index])
        values = [*range(-half, half + 1), -top, top, -top - 1, top + 1, -32767, 32767]
        rows.append([(index, v) for v in values])
    width = max(map(len, rows))
    scale_index = np.zeros((63, 1, width), dtype=np.uint8)
    r = np.zeros((63, 1, width), dtype=np.int16)
    for i, row in enumerate(rows):
        for j, (index, v) in enumerate(row):
            scale_index[i, 0, j], r[i, 0, j] = index, v
    for rate_point in range(RATE_POINTS):
        span = np.arange(-127, 128).reshape(1, 1, -1).repeat(tables.z_channels, 0)
        z = tables.clamp_z(span, rate_point)
        words = coder.encode(z, r, scale_index, rate_point)
        z_hat, r_hat = _decode(coder, words, z.shape, scale_index, rate_point)
        assert np.array_equal(z_hat, z)
        assert np.array_equal(r_hat, r)
    assert _decode_plain(plain, words, z.shape, scale_index, rate_point) == (z.tolist(), r.tolist())


def test_no_symbols_take_no_words(coder, tables):
    z = np.empty((tables.z_channels, 0, 0), dtype=np.int16)
    scale_index = np.zeros((2, 1, 1), dtype=np.uint8)
    r = np.zeros((2, 1, 1), dtype=np.int16)
    assert coder.encode(z, r, scale_index, 0) == b""
    assert _decode(coder, b"", z.shape, scale_index)[1].any() == 0
    with pytest.raises(CorruptPayload, match="no coded symbol"):
        _decode(coder, b"\1\0\0\0", z.shape, scale_index)


def test_rate_equals_the_ideal_bits_of_the_tables(coder, tables):
    rng = np.random.default_rng(5)
    shape = (40, 64, 64)
    scale_index = rng.integers(0, 64, shape).astype(np.uint8)
    r = np.zeros(shape, dtype=np.int16)
    for index in range(1, 64):
        here = scale_index == index
        table = tables.r_table(index)
        drawn = rng.choice(table.size - 1, here.sum(), p=table[:-1] / table[:-1].sum())
        r[here] = drawn - int(tables.r_half[index])
    r[0, 0, :16] = np.where(scale_index[0, 0, :16] > 0, 30000, 0)
    z = tables.clamp_z(np.rint(rng.normal(0, 3, (tables.z_channels, 32, 32))), 1)
    bits = ideal_bits(tables, z, r, scale_index, 1)
    coded = 8 * len(coder.encode(z, r, scale_index, 1))
    assert np.count_nonzero(scale_index) > 100_000
    assert abs(coded / bits - 1) < 0.005


def test_words_may_be_unaligned(coder, draw):
    z, r, scale_index = draw(3)
    words = coder.encode(z, r, scale_index, 0)
    view = memoryview(b"x" + words)[1:]
    assert np.array_equal(_decode(coder, view, z.shape, scale_index)[1], r)


def test_non_contiguous_arrays_code_the_same(coder, draw):
    z, r, scale_index = draw(4)
    swapped = [np.ascontiguousarray(a.transpose(1, 2, 0)).transpose(2, 0, 1) for a in (z, r, scale_index)]
    assert coder.encode(*swapped, 0) == coder.encode(z, r, scale_index, 0)
    assert symbol_crc(*swapped[:2]) == symbol_crc(z, r)


def test_threads_share_a_coder(tables, draw):
    from codec.entropy.coder import TileCoder

    cases = [draw(seed, m=8, rate_point=seed % RATE_POINTS) for seed in range(16)]
    alone = [TileCoder(tables).encode(*case, i % RATE_POINTS) for i, case in enumerate(cases)]
    shared = TileCoder(tables)

    def work(i):
        (z, r, scale_index), rate_point = cases[i % 16], i % 16 % RATE_POINTS
        words = shared.encode(z, r, scale_index, rate_point)
        z_hat, r_hat = _decode(shared, words, z.shape, scale_index, rate_point)
        return words == alone[i % 16] and np.array_equal(z_hat, z) and np.array_equal(r_hat, r)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(160)))


def _outcome(decode):
    try:
        return decode()
    except CorruptPayload:
        return None


@settings(max_examples=150, deadline=None)
@given(words=st.binary(max_size=64), seed=st.integers(0, 99))
def test_random_words_give_symbols_or_a_named_error(coder, plain, draw, words, seed):
    z, _, scale_index = draw(seed)
    fast = _outcome(lambda: _decode(coder, words, z.shape, scale_index))
    slow = _outcome(lambda: _decode_plain(plain, words, z.shape, scale_index))
    assert (fast is None) == (slow is None)
    if fast is not None:
        assert (fast[0].tolist(), fast[1].tolist()) == slow


def test_every_flipped_bit_is_detected(coder, draw):
    z, r, scale_index = draw(7)
    words = coder.encode(z, r, scale_index, 0)
    crc = symbol_crc(z, r)
    for bit in range(8 * len(words)):
        flipped = bytearray(words)
        flipped[bit // 8] ^= 1 << bit % 8
        found = _outcome(lambda flipped=flipped: _decode(coder, bytes(flipped), z.shape, scale_index))
        if found is not None and symbol_crc(*found) == crc:
            # Only bits of the last word that are below the coder's resolution may have no effect.
            assert bit // 8 >= len(words) - 4
            assert np.array_equal(found[0], z)
            assert np.array_equal(found[1], r)


def test_every_truncation_and_extension_is_detected(coder, draw):
    z, r, scale_index = draw(8)
    words = coder.encode(z, r, scale_index, 0)
    for keep in range(len(words)):
        found = _outcome(lambda keep=keep: _decode(coder, words[:keep], z.shape, scale_index))
        assert found is None or symbol_crc(*found) != symbol_crc(z, r)
    for extra in (b"\0\0\0\0", b"\1\0\0\0" * 2, b"\1\0\0\0" * 1000, b"\0"):
        with pytest.raises(CorruptPayload):
            _decode(coder, words + extra, z.shape, scale_index)


def test_too_large_escape_is_refused(coder, plain, tables):
    """A length of 15 with all low bits set encodes a magnitude above 32767 at every half-width."""
    encoder = coder._models.range_coder.encoder()
    index, half = 7, int(tables.r_half[7])
    scale_index = np.full((1, 1, 1), index, dtype=np.uint8)
    for symbol, model in ((2 * half + 1, coder._models.r(index)), (15, coder._models.uniform(4))):
        encoder.encode(np.array([symbol], dtype=np.int32), model)
    encoder.encode(np.array([2**15 - 1], dtype=np.int32), coder._models.uniform(15))
    words = np.trim_zeros(encoder.get_compressed(), "b").astype("<u4").tobytes()
    with pytest.raises(CorruptPayload, match="magnitude 32769"):
        _decode(coder, words, (tables.z_channels, 0, 0), scale_index)
    with pytest.raises(CorruptPayload, match="32767"):
        _decode_plain(plain, words, (tables.z_channels, 0, 0), scale_index)


@pytest.mark.parametrize(
    "change",
    [
        lambda z, r, s: (z.astype(float), r, s, 0),
        lambda z, r, s: (z[:-1], r, s, 0),
        lambda z, r, s: (z + 200, r, s, 0),
        lambda z, r, s: (z, r[:-1], s, 0),
        lambda z, r, s: (z, np.ones_like(r), s, 0),
        lambda z, r, s: (z, np.where(s > 0, -32768, 0).astype(np.int16), s, 0),
        lambda z, r, s: (z, r, s.astype(np.int16), 0),
        lambda z, r, s: (z, r * 0, s + 64, 0),
        lambda z, r, s: (z, r[0], s[0], 0),
        lambda z, r, s: (z, r, s, RATE_POINTS),
    ],
)
def test_the_encoder_refuses_what_it_cannot_code(coder, draw, change):
    with pytest.raises(UsageError):
        coder.encode(*change(*draw(1)))


def test_steps_are_taken_in_order(coder, draw):
    z, r, scale_index = draw(1)
    decoder = coder.decoder(coder.encode(z, r, scale_index, 0), 0)
    with pytest.raises(CodecError, match="z is due"):
        decoder.r(scale_index)
    decoder.z(*z.shape[1:])
    for step in range(STEPS):
        with pytest.raises(CodecError, match="r is due"):
            decoder.finish()
        if step == 2:
            with pytest.raises(UsageError, match="steps before"):
                decoder.r(scale_index[:, :1])
        decoder.r(scale_index)
    with pytest.raises(CodecError, match="finish is due"):
        decoder.r(scale_index)


def test_each_step_reads_its_own_elements(coder, draw):
    """After step k exactly the elements of steps 0 to k are decoded, whatever the indices of later steps."""
    z, r, scale_index = draw(11, m=8, hz=3, wz=2)
    steps = step_of(*r.shape)
    decoder = coder.decoder(coder.encode(z, r, scale_index, 0), 0)
    decoder.z(*z.shape[1:])
    for step in range(STEPS):
        own = np.where(steps <= step, scale_index, 63).astype(np.uint8)
        assert np.array_equal(decoder.r(own), np.where(steps <= step, r, 0))
    decoder.finish()
