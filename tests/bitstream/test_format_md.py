"""FORMAT.md agrees with the code: its test vectors are executed, its names and numbers compared."""

from __future__ import annotations

import json
import re
import zlib
from importlib.resources import files

import numpy as np
import pytest

from codec import errors
from codec.bitstream import wire
from codec.bitstream.container import parse_container, read_info, write_container
from codec.bitstream.geometry import tile_grid, y_shape, z_shape
from codec.bitstream.header import VERSION, Header
from codec.bitstream.metadata_chunks import Metadata, parse_metadata
from codec.bitstream.rate_index import (
    MAX_RATE_INDEX,
    OFFSET_UNIT,
    RATE_POINTS,
    SCALE_COUNT,
    nearest_rate_point,
)
from codec.bitstream.tile_payloads import LosslessTile, parse_alpha
from codec.entropy import reference
from codec.entropy.coder import TileCoder, symbol_crc
from codec.entropy.tables import TOTAL, EntropyTables
from codec.image import lossless
from codec.image.lossless import unpack_plane
from codec.limits import DEFAULT_LIMITS

TEXT = files("codec.bitstream").joinpath("FORMAT.md").read_text(encoding="utf-8")
VECTORS = json.loads(re.search(r"```json\n(.*?)\n```", TEXT, re.S)[1])
SYMBOLS = VECTORS["symbols"]


@pytest.mark.parametrize("vector", VECTORS["files"], ids=["learned", "tiled", "lossless", "gray"])
def test_files(vector):
    data = bytes.fromhex(vector["bytes"])
    back = parse_container(data)
    log2 = vector["tile_size"].bit_length() - 1
    header = Header(
        vector["width"],
        vector["height"],
        vector["rate_index"],
        bytes.fromhex(vector["model_id"]),
        log2,
        vector.get("layout", 0),
    )
    assert back.header == header
    assert [[c.name, bytes(c.payload).hex()] for c in back.chunks] == vector["chunks"]
    found = [_described(tile) for tile in back.tiles]
    assert found == vector["tiles"]
    metadata = [(c.kind, bytes(c.payload)) for c in back.chunks if c.kind & wire.ANCILLARY]
    alpha = next((bytes(c.payload) for c in back.chunks if c.kind == wire.ALPHA), None)
    lossless_tiles = [i for i, tile in enumerate(back.tiles) if isinstance(tile, LosslessTile)]
    payloads = [t.pack() for t in back.tiles]
    assert write_container(header, payloads, metadata, alpha=alpha, lossless=lossless_tiles) == data
    if alpha:
        [part] = parse_alpha(memoryview(alpha), tile_grid(header.width, header.height, header.tile_size))
        assert unpack_plane(part, (header.height, header.width), "alpha").tolist() == vector["alpha"]
    info = read_info(data)
    assert info.lossless_tiles == len(lossless_tiles)
    assert info.gray == vector.get("gray", header.layout in (1, 2))
    assert (info.model_id, info.layout, info.bit_depth, info.version) == (
        vector["model_id"],
        header.mode,
        8,
        f"{VERSION[0]}.{VERSION[1]}",
    )
    assert info.chunks == tuple((name, len(payload) // 2) for name, payload in vector["chunks"])


def _described(tile):
    if isinstance(tile, LosslessTile):
        samples = lossless.unpack(tile.stream, "tile")
        assert (samples == samples[..., :1]).all()
        return {"stream": tile.stream.hex(), "samples": samples[..., 1].tolist()}
    return {
        "flags": tile.flags,
        "rate_offset": tile.rate_offset,
        "crc": f"{tile.crc:08x}",
        "words": tile.words.hex(),
    }


def test_metadata():
    found = parse_container(bytes.fromhex(VECTORS["files"][1]["bytes"])).chunks
    assert parse_metadata(found, DEFAULT_LIMITS) == Metadata(text=(("k", "hi"),), dpi=(72.0, 72.0))


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda v: v["why"])
def test_refused(vector):
    with pytest.raises(errors.CodecError) as caught:
        parse_container(bytes.fromhex(vector["bytes"]))
    assert type(caught.value).__name__ == vector["error"]


def _stack(layers):
    return [reference.Layer(**layer) for layer in layers]


def _indices(z, rate_index, lift):
    """Return a function (step, r) -> the scale indices of a step, computed with the vectors' weights."""
    v = SYMBOLS
    hidden, s = reference.run(z, _stack(v["layers"]))

    def indices(step, r):
        known = [
            [
                [value if reference.step_of(c, y, x) < step else 0 for x, value in enumerate(row)]
                for y, row in enumerate(plane)
            ]
            for c, plane in enumerate(r)
        ]
        sixteenths = reference.scale_context(s, hidden, known, _stack(v["context"][step - 1])) if step else s
        return reference.scale_indices(sixteenths, v["offset"], rate_index, lift)

    return indices


def test_symbols_by_the_reference():
    v = SYMBOLS
    (hz, wz), (hy, wy) = (shape(*v["pixels"], v["z_stride"]) for shape in (z_shape, y_shape))
    r_tables = [v["r_tables"].get(str(index)) for index in range(SCALE_COUNT)]
    tables = reference.Tables(
        r_half=[t["half"] if t else 0 for t in r_tables],
        r_freq=[t["freq"] if t else [] for t in r_tables],
        z_lo=[v["z_lo"]] * RATE_POINTS,
        z_freq=[v["z_freq"]] * RATE_POINTS,
    )
    assert v["rate_point"] == nearest_rate_point(v["tile_rate_index"])
    decoder = reference.RangeDecoder(bytes.fromhex(v["words"]))
    z = reference.decode_z(decoder, tables, v["rate_point"], hz, wz)
    assert z == v["z"]
    assert reference.run(z, _stack(v["layers"]))[1] == v["s"]
    assert np.shape(v["s"])[1:] == (hy, wy)
    indices = _indices(z, v["tile_rate_index"], v["lift"])
    r = reference.decode_r(decoder, tables, np.shape(v["s"]), indices)
    decoder.finish()
    assert r == v["r"]
    every = [indices(step, r) for step in range(4)]
    for c, y, x in np.ndindex(np.shape(r)):
        assert every[reference.step_of(c, y, x)][c][y][x] == v["scale_index"][c][y][x]
    assert f"{reference.symbol_crc(z, r):08x}" == v["crc"]


def test_symbols_by_the_fast_coder():
    v = SYMBOLS
    filler = {"half": 1, "freq": [TOTAL - 3, 1, 1, 1]}
    r_tables = [v["r_tables"].get(str(index), filler) for index in range(1, SCALE_COUNT)]
    tables = EntropyTables(
        r_half=np.array([0, *(t["half"] for t in r_tables)], dtype=np.int32),
        r_freq=np.concatenate([t["freq"] for t in r_tables]).astype(np.uint32),
        z_lo=np.array([v["z_lo"]] * RATE_POINTS, dtype=np.int16),
        z_size=np.array([[len(freq) for freq in v["z_freq"]]] * RATE_POINTS, dtype=np.int32),
        z_freq=np.concatenate(v["z_freq"] * RATE_POINTS).astype(np.uint32),
    )
    tables.validate()
    coder = TileCoder(tables)
    z, r = (np.array(v[name], dtype=np.int16) for name in ("z", "r"))
    scale_index = np.array(v["scale_index"], dtype=np.uint8)
    assert coder.encode(z, r, scale_index, v["rate_point"]).hex() == v["words"]
    tile = parse_container(bytes.fromhex(VECTORS["files"][0]["bytes"])).tiles[0]
    assert tile.rate_index(700) == v["tile_rate_index"]
    decoder = coder.decoder(tile.words, v["rate_point"])
    assert decoder.z(*z.shape[1:]).tolist() == v["z"]
    for _ in range(4):
        found = decoder.r(scale_index)
    assert found.tolist() == v["r"]
    decoder.finish()
    assert symbol_crc(z, r) == tile.crc


def _decode(data):
    """Decode the symbols of a one-tile file as FORMAT.md specifies, with the vectors' weights."""
    v, back = SYMBOLS, parse_container(data)
    tile, filler = back.tiles[0], {"half": 1, "freq": [TOTAL - 3, 1, 1, 1]}
    rate_index = tile.rate_index(back.header.rate_index)
    r_tables = [v["r_tables"].get(str(index), filler) for index in range(SCALE_COUNT)]
    half, freq = [t["half"] for t in r_tables], [t["freq"] for t in r_tables]
    tables = reference.Tables(half, freq, [v["z_lo"]] * RATE_POINTS, [v["z_freq"]] * RATE_POINTS)
    decoder = reference.RangeDecoder(bytes(tile.words))
    z = reference.decode_z(decoder, tables, nearest_rate_point(rate_index), 1, 2)
    indices = _indices(z, rate_index, tile.lift)
    r = reference.decode_r(decoder, tables, np.shape(v["s"]), indices)
    decoder.finish()
    return z, r, reference.symbol_crc(z, r) == tile.crc


def test_every_flipped_bit_of_a_real_file_is_refused():
    data = bytes.fromhex(VECTORS["files"][0]["bytes"])
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(errors.FormatError):
            _decode(bytes(flipped))


def test_symbol_crc_detects_damage_under_a_valid_chunk_crc():
    """A flipped bit under a corrected chunk CRC gives a named error, a CRC mismatch or the same symbols."""
    data = bytes.fromhex(VECTORS["files"][0]["bytes"])
    start, n_words = len(parse_container(data).header.pack()), len(SYMBOLS["words"]) // 2
    n_same = 0
    for bit in range(8 * (len(data) - 4 - n_words), 8 * (len(data) - 4)):
        flipped = bytearray(data[:-4])
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            z, r, match = _decode(bytes(flipped) + zlib.crc32(flipped[start:]).to_bytes(4, "little"))
        except errors.CorruptPayload:
            continue
        n_same += match
        assert not match or (z, r) == (SYMBOLS["z"], SYMBOLS["r"])
    assert n_same < 32, "only bits of the last word may lie below the coder's resolution"


def test_names_and_numbers_match_the_code():
    assert f"Version {VERSION[0]}.{VERSION[1]}," in TEXT
    assert f"| rate index | 0..{MAX_RATE_INDEX} |" in TEXT
    assert f"clamp(header rate index + {OFFSET_UNIT} * rate offset, 0, {MAX_RATE_INDEX})" in TEXT
    assert f"b = min((q + 128) >> 8, {RATE_POINTS - 1})" in TEXT
    for tensor in (f"int16 [{RATE_POINTS}, H]", f"int32 [{RATE_POINTS}, H]", f"int16 [{RATE_POINTS}, M]"):
        assert tensor in TEXT
    assert f"q = {MAX_RATE_INDEX}, all in" in TEXT
    assert f"i = min(q >> 8, {RATE_POINTS - 2})" in TEXT
    assert f"{zlib.crc32(b'123456789'):08X}" in TEXT
    for number in (DEFAULT_LIMITS.max_pixels, DEFAULT_LIMITS.max_side, DEFAULT_LIMITS.max_chunks):
        assert f"{number:,}" in TEXT
    assert f"{DEFAULT_LIMITS.max_metadata_bytes >> 20} MiB" in TEXT
    for name in wire.NAMES.values():
        assert name in TEXT
    section = TEXT.split("## 10 Errors")[1].split("## 11")[0]
    for name in re.findall(r"^\| ([A-Z]\w+) \|", section, re.M):
        assert issubclass(getattr(errors, name), errors.CodecError)


def test_cited_sections_exist():
    sections = set(re.findall(r"^##+ ([\d.]+) ", TEXT, re.M))
    for package in ("codec.bitstream", "codec.entropy"):
        for path in files(package).iterdir():
            if path.name.endswith(".py"):
                cited = re.findall(r"FORMAT\.md (?:sections? )?([\d.]*\d)", path.read_text(encoding="utf-8"))
                assert set(cited) <= sections, path.name
