from __future__ import annotations

import subprocess
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.bitstream.container import locate_tiles, parse_container, read_info, read_tile, write_container
from codec.bitstream.geometry import tile_grid
from codec.bitstream.header import Header
from codec.bitstream.tile_payloads import DetailPayload, TilePayload, pack_alpha, parse_alpha, parse_tile
from codec.bitstream.wire import ALPHA, EXIF, ICC, INDEX, TILE, pack_chunk
from codec.errors import (
    ChecksumMismatch,
    CodecError,
    CorruptPayload,
    FormatError,
    LimitExceeded,
    TruncatedData,
    UnsupportedVersion,
    UsageError,
)
from codec.limits import UNLIMITED, Limits

ONE = Header(64, 48, 512, b"\xde\xad\xbe\xef")
FOUR = Header(100, 100, 512, b"\xde\xad\xbe\xef", tile_log2=6)

# Written by hand from FORMAT.md section 4.2: step 96, transform 1, two words and one of the detail layer.
DETAIL = bytes.fromhex("02 ff 78563412  60 01 f0debc9a  02 aabbccdd 11223344  0a0b0c0d")


def tile(words=b"\1\2\3\4", **fields):
    return TilePayload(**({"flags": 0, "rate_offset": 0, "crc": 7, "words": words} | fields)).pack()


def one_tile(metadata=()):
    return write_container(ONE, [tile()], metadata)


def four_tiles():
    return write_container(FOUR, [tile(bytes(4 * i)) for i in range(4)])


def with_crc(body):
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_exact_bytes_of_one_tile():
    header = with_crc(bytes.fromhex("97564145 0d0a1a0a 04 40 30 00 0002 deadbeef 09"))
    chunk = with_crc(bytes.fromhex("01 0a  01 fe 78563412  aabbccdd"))
    payload = TilePayload(flags=1, rate_offset=-2, crc=0x12345678, words=bytes.fromhex("aabbccdd"))
    assert write_container(ONE, [payload.pack()]) == header + chunk
    back = parse_container(header + chunk)
    assert back.header == ONE
    assert back.tiles == [payload]
    assert back.chunks == []
    assert back.tiles[0].lift
    assert back.tiles[0].rate_index(512) == 480


def test_exact_bytes_of_a_tile_with_detail():
    detail = DetailPayload(step=96, transform=1, crc=0x9ABCDEF0, words=bytes.fromhex("0a0b0c0d"))
    payload = TilePayload(0, -1, 0x12345678, bytes.fromhex("aabbccdd 11223344"), detail)
    assert payload.pack() == DETAIL
    assert parse_tile(DETAIL, 0) == payload


@given(
    st.integers(0, 1),
    st.integers(-128, 127),
    st.integers(0, 300),
    st.builds(
        DetailPayload,
        st.integers(0, 255),
        st.integers(0, 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 3).map(lambda n: bytes(4 * n)),
    ),
)
def test_tiles_with_detail_come_back(flags, offset, n_words, detail):
    payload = TilePayload(flags, offset, 7, bytes(4 * n_words), detail)
    assert parse_tile(payload.pack(), 0) == payload


@pytest.mark.parametrize(
    "wrong", [{"step": 256}, {"step": -1}, {"transform": 256}, {"crc": 2**32}, {"words": b"abc"}]
)
def test_detail_outside_the_format_is_not_written(wrong):
    detail = DetailPayload(**({"step": 0, "transform": 0, "crc": 0, "words": b""} | wrong))
    with pytest.raises(UsageError):
        tile(detail=detail)


def test_exact_bytes_of_an_index():
    data = four_tiles()
    index = with_crc(bytes.fromhex("02 04 06 0a 0e 12"))
    start = len(FOUR.pack())
    assert data[start : start + len(index)] == index
    assert [bytes(t.words) for t in parse_container(data).tiles] == [bytes(4 * i) for i in range(4)]


@pytest.mark.parametrize("words", [0, 4, 1 << 20])
@pytest.mark.parametrize("side", [1, 512])
def test_overhead_of_a_plain_picture_is_at_most_44_bytes(side, words):
    data = write_container(Header(side, side, 0, b"abcd"), [tile(bytes(words))])
    assert len(data) - words <= 40
    widest = write_container(Header(4096, 4096, 0, b"abcd", tile_log2=12), [tile(bytes(words))])
    assert len(widest) - words + 2 <= 44


@settings(max_examples=50, deadline=None)
@given(
    side=st.integers(1, 200),
    words=st.lists(st.binary(max_size=12).map(lambda b: b[: len(b) // 4 * 4]), min_size=16, max_size=16),
    metadata=st.lists(st.tuples(st.integers(0x80, 0xFF), st.binary(max_size=200)), max_size=4),
)
def test_round_trip(side, words, metadata):
    header = Header(side, 150, 5, b"\0\1\2\3", tile_log2=6)
    payloads = [tile(w, rate_offset=i - 8) for i, w in enumerate(words[: header.tiles])]
    data = write_container(header, payloads, metadata)
    back = parse_container(memoryview(data))
    assert [t.pack() for t in back.tiles] == payloads
    assert [(c.kind, bytes(c.payload)) for c in back.chunks if c.kind != INDEX] == metadata
    info = read_info(data)
    assert (info.width, info.height, info.tiles, info.n_bytes) == (side, 150, header.tiles, len(data))


@pytest.mark.parametrize("data", [one_tile(), one_tile([(EXIF, b"abc")]), four_tiles()])
def test_every_truncation_is_refused(data):
    for keep in range(len(data)):
        with pytest.raises((TruncatedData, ChecksumMismatch)):
            parse_container(data[:keep])


@pytest.mark.parametrize("data", [one_tile(), one_tile([(EXIF, b"abc")]), four_tiles()])
def test_every_flipped_bit_is_refused(data):
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            parse_container(bytes(flipped))


def test_bytes_after_the_last_tile_are_refused():
    for extra in (b"\0", one_tile(), pack_chunk(EXIF, b"late")):
        with pytest.raises(CorruptPayload, match="follow the last tile"):
            parse_container(one_tile() + extra)


def test_unknown_chunks():
    head, rest = one_tile()[: len(ONE.pack())], one_tile()[len(ONE.pack()) :]
    back = parse_container(head + pack_chunk(0xF3, b"new") + pack_chunk(ICC, b"") + rest)
    assert [(c.name, bytes(c.payload)) for c in back.chunks] == [("0xf3", b"new"), ("ICC", b"")]
    for kind in (0x00, 0x05, 0x06, 0x7F):
        with pytest.raises(UnsupportedVersion, match=f"byte {len(head)}"):
            parse_container(head + pack_chunk(kind, b"") + rest)


def test_alpha_chunk_is_only_valid_in_layouts_with_alpha():
    with_alpha = Header(64, 48, 512, b"\xde\xad\xbe\xef", layout=3)
    good = write_container(with_alpha, [tile()], [(ICC, b"p")], alpha=b"\xff")
    assert [c.name for c in parse_container(good).chunks] == ["ICC", "ALPHA"]
    alpha, icc, rest = pack_chunk(ALPHA, b"\xff"), pack_chunk(ICC, b"p"), pack_chunk(TILE, tile())
    for header, parts in (
        (with_alpha, [rest]),
        (with_alpha, [alpha, alpha, rest]),
        (with_alpha, [alpha, icc, rest]),
        (ONE, [alpha, rest]),
    ):
        with pytest.raises(CorruptPayload, match="alpha"):
            parse_container(b"".join([header.pack(), *parts]))
    for header, payload in ((with_alpha, None), (ONE, b"\xff")):
        with pytest.raises(UsageError, match="alpha"):
            write_container(header, [tile()], alpha=payload)


def stream(width, height, more=b"\0"):
    return b"\x2f" + (width - 1 | height - 1 << 14).to_bytes(4, "little") + more


def test_lossless_and_learned_tiles_in_one_file():
    payloads = [tile(bytes(4)), stream(36, 64), stream(64, 36, bytes(9)), tile(bytes(8))]
    data = write_container(FOUR, payloads, lossless={1, 2})
    back = parse_container(data)
    assert [type(t).__name__ == "LosslessTile" for t in back.tiles] == [False, True, True, False]
    assert [t.pack() for t in back.tiles] == payloads
    assert read_info(data).lossless_tiles == 2
    for bit in range(0, 8 * len(data), 3):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            parse_container(bytes(flipped))
    for wrong in (stream(64, 64), stream(36, 65), stream(36, 64, b""), b"\x2e" + bytes(20), b""):
        with pytest.raises((CorruptPayload, TruncatedData)):
            parse_container(write_container(FOUR, [payloads[0], wrong, *payloads[2:]], lossless={1, 2}))
    newer = bytearray(stream(36, 64))
    newer[4] |= 0x20
    with pytest.raises(CorruptPayload):
        parse_container(write_container(FOUR, [payloads[0], bytes(newer), *payloads[2:]], lossless={1, 2}))


def test_alpha_parts():
    tiles = tile_grid(100, 100, 64)
    streams = [stream(t.width, t.height) for t in tiles]
    assert parse_alpha(memoryview(pack_alpha([b"\5"] * 4)), tiles) == [b"\5"] * 4
    assert pack_alpha([b"\5"] * 4) == b"\5"
    mixed = [streams[0], b"\0", b"\xff", streams[3]]
    good = pack_alpha(mixed)
    assert parse_alpha(memoryview(good), tiles) == mixed
    for wrong in (b"", good[:-1], good + b"\1", pack_alpha(mixed[:3]), pack_alpha([streams[3], *mixed[1:]])):
        with pytest.raises(CorruptPayload, match="alpha"):
            parse_alpha(memoryview(wrong), tiles)


def test_index_must_match_the_tiles():
    start = len(FOUR.pack())
    tiles = [pack_chunk(TILE, tile(bytes(4 * i))) for i in range(4)]
    good = pack_chunk(INDEX, bytes([6, 10, 14, 18]))
    head = FOUR.pack()
    assert four_tiles() == b"".join([head, good, *tiles])
    assert four_tiles()[start] == INDEX
    for lengths in ([6, 10, 14], [6, 10, 14, 18, 0], [6, 10, 14, 0x80], [6, 10, 18, 14], [10, 6, 14, 18]):
        with pytest.raises(FormatError):
            parse_container(b"".join([head, pack_chunk(INDEX, bytes(lengths)), *tiles]))
    with pytest.raises(CorruptPayload, match="missing"):
        parse_container(b"".join([head, *tiles, good]))
    with pytest.raises(CorruptPayload, match="present"):
        parse_container(b"".join([ONE.pack(), pack_chunk(INDEX, bytes([10])), pack_chunk(TILE, tile())]))
    stray = [head, pack_chunk(INDEX, bytes([10, 10, 14, 18])), tiles[0], bytes(4), *tiles[1:]]
    with pytest.raises(CorruptPayload, match="another length"):
        parse_container(b"".join(stray))
    with pytest.raises(CorruptPayload, match="EXIF chunk is in its place"):
        parse_container(b"".join([head, good, pack_chunk(EXIF, bytes(6)), *tiles[1:]]))


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", CorruptPayload),
        (bytes(5), CorruptPayload),
        (bytes(7), CorruptPayload),
        (b"\4" + bytes(5), UnsupportedVersion),
        (b"\x80" + bytes(5), UnsupportedVersion),
        (b"\2" + bytes(5), CorruptPayload),
        (DETAIL[:12], CorruptPayload),
        (DETAIL[:-1], CorruptPayload),
        (DETAIL + b"\0", CorruptPayload),
        (DETAIL[:12] + b"\4" + DETAIL[13:], CorruptPayload),
        (DETAIL[:12] + b"\x82\0" + DETAIL[13:], CorruptPayload),
        (DETAIL[:12] + b"\xff\xff\xff\xff\x0f", CorruptPayload),
        (DETAIL[:7] + b"\2" + DETAIL[8:], UnsupportedVersion),
        (DETAIL[:7] + b"\xff" + DETAIL[8:], UnsupportedVersion),
    ],
)
def test_tile_payload_violations(payload, error):
    with pytest.raises(error):
        parse_tile(payload, 0)
    with pytest.raises((error, TruncatedData)):
        parse_container(ONE.pack() + pack_chunk(TILE, payload))


def test_damage_affects_one_tile():
    data = bytearray(four_tiles())
    file_map = locate_tiles(bytes(data))
    data[file_map.spans[2].offset + 3] ^= 0xFF
    damaged = bytes(data)
    for i in (0, 1, 3):
        assert bytes(read_tile(damaged, locate_tiles(damaged), i).words) == bytes(4 * i)
    with pytest.raises(ChecksumMismatch):
        read_tile(damaged, locate_tiles(damaged), 2)
    with pytest.raises(ChecksumMismatch):
        parse_container(damaged)


def test_writer_refuses_what_the_format_forbids():
    with pytest.raises(UsageError, match="announces 4 tiles, 1"):
        write_container(FOUR, [tile()])
    with pytest.raises(UsageError, match="ancillary"):
        write_container(ONE, [tile()], [(TILE, b"")])
    for fields in ({"flags": 2}, {"words": b"abc"}, {"rate_offset": 200}, {"crc": -1}):
        with pytest.raises(UsageError, match="tile"):
            tile(**fields)


def test_metadata_limits():
    many = one_tile([(EXIF, b"")] * 20)
    with pytest.raises(LimitExceeded, match="max_chunks"):
        parse_container(many, Limits(max_chunks=19))
    big = one_tile([(EXIF, bytes(600)), (ICC, bytes(600))])
    with pytest.raises(LimitExceeded, match="1,200, the limit is 1,000"):
        parse_container(big, Limits(max_metadata_bytes=1000))
    assert len(parse_container(big, UNLIMITED).chunks) == 2


def test_bomb_is_refused_quickly():
    bomb = write_container(ONE, [tile()]).replace(ONE.pack(), Header(65_535, 65_535, 0, b"abcd").pack())
    assert len(bomb) < 100
    with pytest.raises(LimitExceeded):
        parse_container(bomb)
    with pytest.raises(TruncatedData, match="16384 tiles"):
        parse_container(bomb, UNLIMITED)
    huge = Header(2**32 - 1, 2**32 - 1, 0, b"abcd", tile_log2=6).pack() + bomb[40:]
    with pytest.raises(TruncatedData):
        parse_container(huge, UNLIMITED)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=120), prefix=st.sampled_from([b"", ONE.pack(), FOUR.pack()]))
def test_arbitrary_bytes_raise_a_codec_error(data, prefix):
    with pytest.raises(CodecError):
        parse_container(prefix + data)


def test_nothing_heavy_is_imported():
    code = (
        "import sys; import codec.bitstream.container as c; "
        "sys.exit(any(m in sys.modules for m in ('numpy', 'torch', 'constriction')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
