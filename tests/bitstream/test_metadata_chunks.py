"""Metadata chunks: round trips; damaged or oversized chunks are refused."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream import wire
from codec.bitstream.metadata_chunks import Metadata, pack_metadata, parse_metadata
from codec.errors import CorruptPayload, LimitExceeded
from codec.limits import DEFAULT_LIMITS, UNLIMITED, Limits

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
FULL = Metadata(
    icc=b"profile" * 50,
    exif=b"II*\0" + bytes(60),
    xmp=b"<x/>",
    text=(("Comment", "Gr\u00fc\u00dfe"), ("Author", "")),
    dpi=(144.0, 72.5),
)


def parse(pairs, limits=DEFAULT_LIMITS):
    return parse_metadata([wire.Chunk(kind, memoryview(data), 9) for kind, data in pairs], limits)


@settings(max_examples=50, deadline=None)
@given(
    st.builds(
        Metadata,
        icc=st.binary(max_size=500),
        exif=st.binary(max_size=50),
        xmp=st.binary(max_size=50),
        text=st.lists(st.tuples(WORDS.filter(len), WORDS), max_size=4).map(tuple),
        dpi=st.none() | st.tuples(*[st.integers(1, 10**8).map(lambda n: n / 1000)] * 2),
    )
)
def test_round_trip(metadata):
    assert parse(pack_metadata(metadata)) == metadata


def test_metadata_is_compressed_only_if_smaller():
    packed = dict(pack_metadata(FULL))
    assert len(packed[wire.ICC]) < 40
    assert packed[wire.XMP] == b"\0<x/>"
    assert packed[wire.DENSITY] == bytes.fromhex("80e508 b4b604")
    assert len(dict(pack_metadata(Metadata(dpi=(72, 72))))[wire.DENSITY]) == 3
    assert pack_metadata(Metadata()) == []


def test_other_chunks_are_ignored():
    assert parse([(wire.INDEX, b"\1"), (0xF0, b"new"), *pack_metadata(FULL)]) == FULL


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (wire.ICC, b""),
        (wire.ICC, b"\2abc"),
        (wire.ICC, b"\1"),
        (wire.ICC, b"\1\5hello"),
        (wire.ICC, b"\1\5" + zlib.compress(b"four")),
        (wire.ICC, b"\1\5" + zlib.compress(b"sixsix")),
        (wire.ICC, b"\1\5" + zlib.compress(b"hello")[:-1]),
        (wire.ICC, b"\1\5" + zlib.compress(b"hello") + b"x"),
        (wire.TEXT, b"\0key"),
        (wire.TEXT, b"\0key\0\xff"),
        (wire.DENSITY, b""),
        (wire.DENSITY, b"\0"),
        (wire.DENSITY, b"\1\0"),
        (wire.DENSITY, b"\1\1\1"),
        (wire.DENSITY, b"\x80"),
    ],
)
def test_damage_is_refused(kind, payload):
    with pytest.raises(CorruptPayload):
        parse([(kind, payload)])


@pytest.mark.parametrize("kind", [kind for kind, _ in pack_metadata(FULL)])
def test_duplicate_chunks_are_refused(kind):
    pairs = pack_metadata(FULL)
    with pytest.raises(CorruptPayload, match="twice"):
        parse([*pairs, *[pair for pair in pairs if pair[0] == kind]])


def test_bomb_is_refused_before_inflation():
    bomb = (wire.XMP, b"\1" + bytes.fromhex("80808020") + zlib.compress(bytes(1 << 26)))
    with pytest.raises(LimitExceeded, match="67,108,864"):
        parse([bomb])
    short = (wire.XMP, b"\1\5" + zlib.compress(bytes(1 << 26)))
    with pytest.raises(CorruptPayload):
        parse([short])
    with pytest.raises(LimitExceeded):
        parse(pack_metadata(FULL), Limits(max_metadata_bytes=400))
    assert parse(pack_metadata(FULL), UNLIMITED) == FULL
