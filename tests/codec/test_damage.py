"""A damaged file raises a named error and never gives a picture."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import codec
from codec.bitstream import wire
from codec.bitstream.container import parse_container, write_container
from codec.bitstream.header import Header
from codec.bitstream.tile_payloads import TilePayload
from codec.decode.decoder import Decoder
from codec.errors import (
    ChecksumMismatch,
    CodecError,
    CorruptPayload,
    FormatError,
    TruncatedData,
    UnknownModel,
)


@pytest.fixture(scope="module")
def data(photo, encoder):
    return encoder(40).encode(photo(72, 56))


@pytest.fixture(scope="module")
def tiled(photo, encoder):
    return encoder(5).encode(photo(520, 30))


@pytest.fixture(scope="module")
def decoder():
    return Decoder(threads=1)


def sealed(data, tiles):
    """Return a file with the same header and other tiles, all CRCs of the container valid."""
    header = parse_container(data).header
    return write_container(header, [t.pack() for t in tiles])


def test_every_truncation(decoder, data, tiled):
    for whole in (data, tiled):
        decoder.decode(whole)
        for keep in {*range(60), *range(60, len(whole), 7), len(whole) - 1}:
            if keep < len(whole):
                with pytest.raises((TruncatedData, ChecksumMismatch, CorruptPayload)):
                    decoder.decode(whole[:keep])


def test_flipped_bits(decoder, data, tiled):
    rng = np.random.default_rng(7)
    for whole in (data, tiled):
        # All bits of the header, then random ones.
        places = [*range(8 * 30), *rng.integers(8 * 30, 8 * len(whole), 200).tolist()]
        for place in places:
            damaged = bytearray(whole)
            damaged[place // 8] ^= 1 << place % 8
            with pytest.raises(FormatError):
                decoder.decode(damaged)


def test_damage_under_a_valid_crc(decoder, data):
    """Altered words under a valid chunk CRC are refused by the CRC of the symbols."""
    [tile] = parse_container(data).tiles
    rng = np.random.default_rng(8)
    refused = set()
    for _ in range(200):
        words = bytearray(tile.words)
        words[rng.integers(len(words))] ^= 1 << rng.integers(8)
        with pytest.raises(FormatError) as error:
            decoder.decode(sealed(data, [TilePayload(tile.flags, 0, tile.crc, bytes(words))]))
        refused.add(error.type)
    assert refused == {ChecksumMismatch, CorruptPayload}


def test_wrong_symbol_crc(decoder, data):
    [tile] = parse_container(data).tiles
    with pytest.raises(ChecksumMismatch, match=r"tile 0: .*symbols"):
        decoder.decode(sealed(data, [TilePayload(tile.flags, 0, tile.crc ^ 1, tile.words)]))


def test_wrong_lift_flag(decoder, data):
    [tile] = parse_container(data).tiles
    with pytest.raises(FormatError, match="tile 0"):
        decoder.decode(sealed(data, [TilePayload(tile.flags ^ 1, 0, tile.crc, tile.words)]))


def test_wrong_rate_offset(decoder, data):
    [tile] = parse_container(data).tiles
    with pytest.raises(FormatError, match="tile 0"):
        decoder.decode(sealed(data, [TilePayload(tile.flags, 60, tile.crc, tile.words)]))


@pytest.mark.parametrize("words", [b"", bytes(3) + b"\x01", b"\xff" * 400])
def test_invented_words(decoder, data, words):
    [tile] = parse_container(data).tiles
    with pytest.raises(FormatError, match="tile 0"):
        decoder.decode(sealed(data, [TilePayload(tile.flags, 0, tile.crc, words)]))


def test_swapped_tiles(decoder, tiled):
    first, second = parse_container(tiled).tiles
    with pytest.raises(FormatError, match=r"tile [01]"):
        decoder.decode(sealed(tiled, [second, first]))


def test_error_names_the_bad_tile(decoder, tiled):
    first, second = parse_container(tiled).tiles
    damaged = TilePayload(second.flags, 0, second.crc ^ 5, second.words)
    with pytest.raises(ChecksumMismatch, match="tile 1"):
        decoder.decode(sealed(tiled, [first, damaged]))


def test_trailing_bytes_are_refused(decoder, data):
    for tail in (b"\0", data):
        with pytest.raises(CorruptPayload):
            decoder.decode(data + tail)


def test_unknown_model(decoder, data):
    container = parse_container(data)
    header = container.header
    other = Header(header.width, header.height, header.rate_index, b"\1\2\3\4")
    renamed = write_container(other, [t.pack() for t in container.tiles])
    with pytest.raises(UnknownModel, match="01020304"):
        decoder.decode(renamed)
    assert codec.info(renamed).model_id == "01020304"


def test_model_id_without_its_crc_is_damage(decoder, data):
    at = data.index(parse_container(data).header.model_id)
    damaged = data[:at] + b"\1\2\3\4" + data[at + 4 :]
    with pytest.raises(ChecksumMismatch):
        decoder.decode(damaged)


def test_unknown_ancillary_chunk_changes_nothing(decoder, data):
    container = parse_container(data)
    extended = write_container(container.header, [t.pack() for t in container.tiles], [(0xF0, b"future")])
    assert zlib.crc32(decoder.decode(extended).tobytes()) == zlib.crc32(decoder.decode(data).tobytes())
    assert wire.chunk_name(0xF0) in dict(codec.info(extended).chunks)


def test_decoder_works_after_a_failed_decode(decoder, data):
    samples = decoder.decode(data).tobytes()
    with pytest.raises(CodecError):
        decoder.decode(data[:-1])
    assert decoder.decode(data).tobytes() == samples
