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
    MAX_HEADER_RATE_INDEX,
    MAX_RATE_INDEX,
    OFFSET_UNIT,
    RATE_POINTS,
    SCALE_COUNT,
    nearest_rate_point,
)
from codec.bitstream.tile_payloads import FLAG_DETAIL, LosslessTile, parse_alpha
from codec.entropy import reference
from codec.entropy.coder import TileCoder, symbol_crc
from codec.entropy.detail_coder import DetailCoder, detail_crc, mean_codes
from codec.entropy.detail_context import FEATURES, LOCAL_TERMS, MAGNITUDE_MAX, MEAN_MAX, DetailTables
from codec.entropy.tables import TOTAL, EntropyTables
from codec.image import lossless
from codec.image.lossless import unpack_plane
from codec.limits import DEFAULT_LIMITS
from codec.model.config import ModelConfig
from codec.tiles.detail import dequantise, synthesise_detail

TEXT = files("codec.bitstream").joinpath("FORMAT.md").read_text(encoding="utf-8")
VECTORS = json.loads(re.search(r"```json\n(.*?)\n```", TEXT, re.S)[1])
SYMBOLS = VECTORS["symbols"]


@pytest.mark.parametrize("vector", VECTORS["files"], ids=["learned", "tiled", "lossless", "gray", "detail"])
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
    found = {
        "flags": tile.flags,
        "rate_offset": tile.rate_offset,
        "crc": f"{tile.crc:08x}",
        "words": tile.words.hex(),
    }
    if (detail := tile.detail) is not None:
        found["flags"] |= FLAG_DETAIL
        found["detail"] = {
            "step": detail.step,
            "transform": detail.transform,
            "crc": f"{detail.crc:08x}",
            "words": detail.words.hex(),
        }
    return found


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


@pytest.fixture(scope="module")
def detail_tables():
    """The tensors of the vectors `detail`, by the rules of section 14."""
    t, c, k, p, i = np.indices((2, 3, 31, 2, 17))
    e = (7 * t + 5 * c + 3 * k + 2 * p + 11 * i) % 23
    weight = np.where(i < 6, 300 * e - 1000, np.where(i < 16, 20 * e - 100, 100 * e + 1500))
    t, c, u, v = np.indices((2, 3, 16, 16))
    shape = 2000 + 100 * ((t + 3 * c + 5 * u + 7 * v) % 61)
    half = np.array([0, *(1 + index // 12 for index in range(1, SCALE_COUNT))])
    freq = [[2**18] * (2 * h + 2) for h in half[1:]]
    for h, table in zip(half[1:].tolist(), freq, strict=True):
        table[h] = 2**24 - 2**18 * (2 * h + 1)
    index, i = np.indices((SCALE_COUNT, 3))
    lean = ((5 * index + 3 * i) % 17 - 8) / 64
    arrays = {
        "detail.weight": weight.astype(np.int32),
        "detail.shape": shape.astype(np.int32),
        "detail.half": half.astype(np.int32),
        "detail.freq": np.concatenate(freq).astype(np.uint32),
        "detail.lean": lean.astype(np.float32),
    }
    return DetailTables.from_arrays(arrays), reference.DetailTables(
        weight.tolist(), shape.tolist(), half.tolist(), [[], *freq]
    )


def _filled(pairs, index):
    """Return an array [3, 16, 16, 2, 3] of what stands at `index` of the vectors' lists, 0 elsewhere."""
    found = np.zeros((3, 16, 16, 2, 3), np.int16)
    for row in pairs:
        found[tuple(row[:5])] = row[index]
    return found


def _dct(n):
    return np.array(
        [
            [
                (0.5 if k == 0 else 1) ** 0.5 * (2 / n) ** 0.5 * np.cos(np.pi * k * (2 * i + 1) / (2 * n))
                for i in range(n)
            ]
            for k in range(n)
        ]
    )


def _lapped(plane):
    """Apply P^T of section 9.5 to the columns of a plane."""
    eye, flip = np.eye(8), np.eye(8)[::-1]
    k, i = np.indices((8, 8))
    dct4 = np.sqrt(2 / 8) * np.cos(np.pi * (2 * k + 1) * (2 * i + 1) / 32)
    b = np.block([[eye, flip], [flip, -eye]])
    v = flip @ _dct(8).T @ dct4 @ flip
    matrix = b @ np.block([[eye, 0 * eye], [0 * eye, v]]) @ b / 2
    out = plane.copy()
    for start in range(8, len(plane) - 8, 16):
        out[start : start + 16] = matrix.T @ plane[start : start + 16]
    return out


def _added(coefficients, lean, step, transform):
    """Return what a detail layer adds, [32, 48, 3], as section 9.5 says."""
    planes = np.zeros((3, 32, 48))
    spectra = np.zeros((3, 16, 16, 2, 3))
    for *at, d, scale_index in coefficients:
        m = abs(d) + lean[scale_index, min(abs(d), 3) - 1]
        spectra[tuple(at)] = np.sign(d) * m * 2 ** (step / 32)
    for c, y, x in np.ndindex(3, 2, 3):
        cell, own = planes[c, 16 * y : 16 * y + 16, 16 * x : 16 * x + 16], spectra[c, :, :, y, x]
        if transform == 0:
            cell[:] = _dct(16).T @ own @ _dct(16)
        else:
            for i, j in np.ndindex(2, 2):
                cell[8 * i : 8 * i + 8, 8 * j : 8 * j + 8] = _dct(8).T @ own[i::2, j::2] @ _dct(8)
    if transform == 0:
        planes = np.array([_lapped(_lapped(plane).T).T for plane in planes])
    return np.einsum("ck,cyx->yxk", _dct(3), planes)


@pytest.mark.parametrize("vector", VECTORS["detail"], ids=["transform 0", "transform 1"])
def test_detail(vector, detail_tables):
    fast, plain = detail_tables
    words, transform = bytes.fromhex(vector["words"]), vector["transform"]
    q = _filled(vector["coefficients"], 5)
    coder = DetailCoder(fast)
    assert mean_codes(q).tolist() == vector["mean_codes"]
    assert coder.encode(q, transform) == words
    found = coder.decode(words, transform, 2, 3)
    assert np.array_equal(found.q, q)
    assert np.array_equal(np.where(q, found.scale_index, 0), _filled(vector["coefficients"], 6))
    assert f"{zlib.crc32(found.scale_index.tobytes()):08x}" == vector["scale_index_crc"]
    assert f"{detail_crc(q):08x}" == vector["crc"]

    d, scale_index = reference.decode_detail(words, plain, transform, 2, 3)
    assert {at: value for at, value in d.items() if value} == {
        tuple(row[:5]): row[5] for row in vector["coefficients"]
    }
    assert all(found.scale_index[at] == index for at, index in scale_index.items())
    assert f"{reference.detail_crc(d, 2, 3):08x}" == vector["crc"]

    added = _added(vector["coefficients"], fast.lean, vector["step"], transform)
    for y, x, rgb in vector["added"]:
        assert added[y, x] == pytest.approx(rgb, abs=1e-3)
    made = synthesise_detail(dequantise(fast, found, vector["step"]), transform, 20, 40)
    assert np.abs(made - added[:20, :40]).max() < 1e-3


def test_detail_of_the_last_file():
    tile, vector = VECTORS["files"][-1]["tiles"][0], VECTORS["detail"][1]
    assert tile["detail"] == {name: vector[name] for name in ("step", "transform", "crc", "words")}


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


@pytest.mark.parametrize("vector", [0, -1], ids=["learned", "detail"])
def test_every_flipped_bit_of_a_real_file_is_refused(vector):
    data = bytes.fromhex(VECTORS["files"][vector]["bytes"])
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
    assert f"| version | 0x{VERSION[0]:x}{VERSION[1]:x} |" in TEXT
    assert f"| rate index | 0..{MAX_HEADER_RATE_INDEX} |" in TEXT
    assert f"clamp(base rate index + {OFFSET_UNIT} * rate offset, 0, {MAX_RATE_INDEX})" in TEXT
    config = ModelConfig()
    assert f"are {config.detail_from} and {config.detail_base} if they are absent" in TEXT
    assert f"A g above {MEAN_MAX}" in TEXT
    assert f"min(abs(d), {MAGNITUDE_MAX})" in TEXT
    rows = re.findall(r"^\| [\d, ]+ \| ([\w, ]+) \| (\d+) \|", TEXT, re.M)
    terms = {name: int(count) for names, count in rows for name in names.split(", ")}
    assert tuple(terms) == FEATURES[:-1]
    assert terms == {name: LOCAL_TERMS.get(name, 16) for name in FEATURES[:-1]}
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
