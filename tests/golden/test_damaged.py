"""Golden files that are truncated, have a flipped bit or are forged are refused with the right error.

Every bit of a file has a meaning, so damage to any field is detected.
"""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from codec.bitstream import wire
from codec.bitstream.container import locate_tiles
from codec.decode.decoder import Decoder
from codec.errors import (
    BadMagic,
    ChecksumMismatch,
    CodecError,
    CorruptPayload,
    FormatError,
    LimitExceeded,
    TruncatedData,
    UnknownModel,
    UnsupportedVersion,
)
from codec.limits import Limits

FILES = sorted((Path(__file__).parent / "v0").glob("*.vae"), key=lambda path: path.stat().st_size)
# All bits of a file of this size take about a second.
MOST_BITS = 24_000


@pytest.fixture(scope="module")
def decoder():
    return Decoder(threads=1)


def test_goldens_exist():
    assert len(FILES) >= 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_truncation_is_refused(decoder, path):
    data = path.read_bytes()
    for keep in range(len(data)):
        with pytest.raises((TruncatedData, ChecksumMismatch)):
            decoder.decode(data[:keep])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_flipped_bit_is_refused(decoder, path):
    data, bits = path.read_bytes(), range(8 * path.stat().st_size)
    if len(bits) > MOST_BITS:
        bits = random.Random(0).sample(bits, MOST_BITS)
    for bit in bits:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            decoder.decode(flipped)


def crc(data):
    """Return the file with a valid CRC-32 of its header."""
    end = len(locate_header(data)) - 4
    return data[:end] + zlib.crc32(data[:end]).to_bytes(4, "little") + data[end + 4 :]


def locate_header(data):
    at = 9
    for _ in range(2):
        while data[at] & 0x80:
            at += 1
        at += 1
    return data[: at + 12]


def put(data, at, content):
    return data[:at] + content + data[at + len(content) :]


def header_end(data):
    return len(locate_header(data))


def without(data, kind):
    """Return the file without its chunk of a kind."""
    chunk = next(c for c in locate_tiles(data).chunks if c.kind == kind)
    return data[: chunk.offset] + data[chunk.offset + wire.chunk_size(len(chunk.payload)) :]


def before_tiles(data, *more):
    at = header_end(data)
    return data[:at] + b"".join(wire.pack_chunk(kind, payload) for kind, payload in more) + data[at:]


# Kind of golden, the change, and the expected error. Fields of the header are located from its end.
BAD = {
    "no signature": ("", lambda d: b"RIFF" + d[4:], BadMagic),
    "sent as text": ("", lambda d: d.replace(b"\r\n", b"\n", 1), BadMagic),
    "bit 7 lost": ("", lambda d: bytes([d[0] & 0x7F]) + d[1:], BadMagic),
    "another picture": ("", lambda d: b"\x89PNG\r\n\x1a\n" + d[8:], BadMagic),
    "empty": ("", lambda d: b"", TruncatedData),
    "half a signature": ("", lambda d: d[:5], TruncatedData),
    "newer version": ("", lambda d: crc(put(d, 8, b"\x21")), UnsupportedVersion),
    "older version": ("", lambda d: crc(put(d, 8, b"\x02")), UnsupportedVersion),
    "reserved layout": ("", lambda d: crc(put(d, header_end(d) - 12, b"\x0f")), UnsupportedVersion),
    "reserved depth": ("", lambda d: crc(put(d, header_end(d) - 12, b"\x10")), UnsupportedVersion),
    "reserved tiling": ("", lambda d: crc(put(d, header_end(d) - 5, b"\x19")), UnsupportedVersion),
    "tiles too small": ("", lambda d: crc(put(d, header_end(d) - 5, b"\x05")), CorruptPayload),
    "tiles too large": ("", lambda d: crc(put(d, header_end(d) - 5, b"\x0d")), CorruptPayload),
    "rate index too high": ("", lambda d: crc(put(d, header_end(d) - 11, b"\x01\x0f")), CorruptPayload),
    "other weights": ("", lambda d: crc(put(d, header_end(d) - 9, b"\0\0\0\0")), UnknownModel),
    "header CRC": ("", lambda d: put(d, header_end(d) - 4, bytes(4)), ChecksumMismatch),
    "tile CRC": ("", lambda d: d[:-1] + bytes([d[-1] ^ 1]), ChecksumMismatch),
    "a byte too many": ("", lambda d: d + b"\0", CorruptPayload),
    "two files": ("", lambda d: d + d, CorruptPayload),
    "one tile lost": ("521x101", lambda d: d[: locate_tiles(d).spans[1].offset], TruncatedData),
    "no index": ("521x101", lambda d: without(d, wire.INDEX), CorruptPayload),
    "no alpha": ("faded", lambda d: without(d, wire.ALPHA), CorruptPayload),
    "alpha in RGB": ("64x48", lambda d: before_tiles(d, (wire.ALPHA, b"\xff")), CorruptPayload),
    "index of one": ("64x48", lambda d: before_tiles(d, (wire.INDEX, b"\x10")), CorruptPayload),
    "animation": ("64x48", lambda d: before_tiles(d, (wire.ANIMATION, b"")), UnsupportedVersion),
    "unknown critical": ("64x48", lambda d: before_tiles(d, (0x7E, b"")), UnsupportedVersion),
    "EXIF twice": ("64x48", lambda d: before_tiles(d, *[(wire.EXIF, b"\0II*\0")] * 2), CorruptPayload),
    "1001 chunks": ("64x48", lambda d: before_tiles(d, *[(0xF0, b"")] * 1001), LimitExceeded),
    "metadata bomb": (
        "64x48",
        lambda d: before_tiles(d, (wire.ICC, b"\1\x81\x80\x80\x08x")),
        LimitExceeded,
    ),
    "no metadata method": ("64x48", lambda d: before_tiles(d, (wire.XMP, b"\2x")), CorruptPayload),
    "density 0": ("64x48", lambda d: before_tiles(d, (wire.DENSITY, b"\0")), CorruptPayload),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(decoder, name):
    kind, damage, error = BAD[name]
    path = next(path for path in FILES if kind in path.stem)
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    with pytest.raises(CodecError) as refused:
        decoder.decode(damaged)
    assert refused.type is error


def test_smallest_limits_refuse_all_goldens():
    for path in FILES:
        with pytest.raises(LimitExceeded):
            Decoder(limits=Limits(max_pixels=1)).decode(path.read_bytes())
