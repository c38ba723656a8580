from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.bitstream.header import Header, parse_header
from codec.errors import (
    BadMagic,
    ChecksumMismatch,
    CorruptPayload,
    LimitExceeded,
    TruncatedData,
    UnsupportedVersion,
    UsageError,
)
from codec.limits import UNLIMITED, Limits

# Written by hand from FORMAT.md section 2: 300 x 5 pixels, rate_index 1000, model 01020304, tiles of 512.
BODY = bytes.fromhex("97 56 41 45 0d 0a 1a 0a  04  ac 02  05  00  e8 03  01 02 03 04  09")
HEADER = Header(300, 5, 1000, bytes([1, 2, 3, 4]))


def with_crc(body):
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_exact_bytes():
    assert HEADER.pack() == with_crc(BODY)
    assert parse_header(with_crc(BODY) + b"anything") == HEADER


@given(
    st.builds(
        Header,
        width=st.integers(1, 2**32 - 1),
        height=st.integers(1, 2**32 - 1),
        rate_index=st.integers(0, 3840),
        model_id=st.binary(min_size=4, max_size=4),
        tile_log2=st.integers(6, 12),
        layout=st.integers(0, 5),
    )
)
def test_round_trip(header):
    assert parse_header(header.pack(), UNLIMITED) == header
    assert 23 <= len(header.pack()) <= 31


@pytest.mark.parametrize(
    ("at", "value", "error"),
    [
        (8, 0x03, UnsupportedVersion),
        (8, 0x05, UnsupportedVersion),
        (8, 0x11, UnsupportedVersion),
        (12, 0x06, UnsupportedVersion),
        (12, 0x10, UnsupportedVersion),
        (11, 0x00, CorruptPayload),
        (14, 0xFF, CorruptPayload),
        (19, 0x05, CorruptPayload),
        (19, 0x0D, CorruptPayload),
        (19, 0x19, UnsupportedVersion),
    ],
)
def test_violations_under_a_valid_crc(at, value, error):
    body = bytearray(BODY)
    body[at] = value
    with pytest.raises(error):
        parse_header(with_crc(bytes(body)))


def test_version_is_checked_before_fields_that_depend_on_it():
    with pytest.raises(UnsupportedVersion, match=r"2\.0"):
        parse_header(BODY[:8] + b"\x20")


def test_damage_and_truncation():
    data = HEADER.pack()
    for keep in range(len(data)):
        with pytest.raises(TruncatedData):
            parse_header(data[:keep])
    with pytest.raises(ChecksumMismatch):
        parse_header(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x89PNG\r\n\x1a\n", "not a .vae file"),
        (b"\x97VAE\n\x1a\n\x01", "text mode"),
        (b"\x17VAE\r\n\x1a\n", "text mode"),
        (b"PK", "not a .vae file"),
    ],
)
def test_other_files_get_errors_of_their_own(data, words):
    with pytest.raises(BadMagic, match=words):
        parse_header(data)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"height": 2**32},
        {"rate_index": 3841},
        {"model_id": b"abc"},
        {"tile_log2": 5},
        {"layout": 6},
    ],
)
def test_header_refuses_values_outside_the_format(change):
    arguments = {"width": 1, "height": 1, "rate_index": 0, "model_id": b"abcd"} | change
    with pytest.raises(UsageError, match=next(iter(change))):
        Header(**arguments)


def test_limit_errors_give_numbers_and_remedy():
    data = Header(65_535, 65_535, 0, b"abcd").pack()
    with pytest.raises(
        LimitExceeded, match=r"65535 x 65535 .* 4,294,836,225, .* 178,956,970; .*max_pixels"
    ) as e:
        parse_header(data)
    assert e.value.field == "max_pixels"
    with pytest.raises(LimitExceeded, match="max_side"):
        parse_header(data, Limits(max_pixels=None, max_side=1000))
    assert parse_header(data, UNLIMITED).tiles == 128 * 128
