from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.bitstream.wire import Reader, varint
from codec.errors import CorruptPayload, TruncatedData


@pytest.mark.parametrize(
    ("value", "form"),
    [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (16384, "808001"), (2**32 - 1, "ffffffff0f")],
)
def test_varint_bytes(value, form):
    assert varint(value).hex() == form
    assert Reader(bytes.fromhex(form)).varint("n") == value


@given(st.integers(0, 2**32 - 1), st.binary(max_size=3))
def test_varint_round_trip(value, rest):
    reader = Reader(varint(value) + rest)
    assert reader.varint("n") == value
    assert reader.left == len(rest)


@pytest.mark.parametrize(
    "form", ["8000", "ff00", "80808000", "ffffffff10", "ffffffffff01", "808080808000", "8080808080"]
)
def test_long_and_large_varints_are_refused(form):
    with pytest.raises(CorruptPayload, match="n at byte 0"):
        Reader(bytes.fromhex(form)).varint("n")


@pytest.mark.parametrize("form", ["", "80", "ffffffff"])
def test_truncated_varints_are_refused(form):
    with pytest.raises(TruncatedData):
        Reader(bytes.fromhex(form)).varint("n")


def test_take_reads_without_copying():
    reader = Reader(b"abcdef", 1)
    assert bytes(reader.take(2, "x")) == b"bc"
    assert reader.uint(2, "x") == 0x6564
    with pytest.raises(TruncatedData, match="x at byte 5: 2 bytes are due, 1 are left") as caught:
        reader.take(2, "x")
    assert (caught.value.field, caught.value.offset) == ("x", 5)
