"""Salvage recovers intact tiles, reports and marks lost ones, and misplaces none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from codec.bitstream import wire
from codec.bitstream.container import locate_tiles, parse_container, write_container
from codec.bitstream.geometry import tile_grid
from codec.bitstream.header import Header
from codec.decode.decoder import Decoder
from codec.decode.salvage import pattern, salvage
from codec.encode.tile_coder import encode_tile
from codec.errors import CodecError, CorruptPayload, FormatError
from codec.image.lossless import pack, pack_plane
from codec.inference.weights import load_model
from codec.model.index import default_model_id

WIDTH, HEIGHT = 180, 128  # 3 x 2 tiles of 64 pixels
REACH = 80
BAD_STREAM = 4


def make(photo, *, alpha=False, exact=False):
    """Return a file of six small tiles, all learned or all lossless, with some metadata."""
    model, pixels = load_model(default_model_id()), photo(WIDTH, HEIGHT)
    header = Header(WIDTH, HEIGHT, 600, model.model_id, 6, layout=3 if alpha else 0)
    grid = tile_grid(WIDTH, HEIGHT, 64)
    payloads = [
        pack(pixels[t.y : t.y + t.height, t.x : t.x + t.width])
        if exact
        else encode_tile(model, pixels, t, rate_index=600)
        for t in grid
    ]
    plane = None
    if alpha:
        parts = [pack_plane(pixels[t.y : t.y + t.height, t.x : t.x + t.width, 1]) for t in grid]
        plane = b"".join(bytes([len(p) & 127 | 128, len(p) >> 7]) + p for p in parts)
    metadata = [(wire.TEXT, b"\0key\0value"), (wire.DENSITY, b"\xc0\xb2\x04")]
    return write_container(header, payloads, metadata, alpha=plane, lossless=range(6) if exact else ())


@pytest.fixture(scope="module")
def exact(photo):
    return make(photo, exact=True)


@pytest.fixture(scope="module")
def learned(photo):
    return make(photo)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


def check(found, data, lost):
    """Check that every tile is unchanged or shows the pattern of lost tiles."""
    whole, got = (np.asarray(p) for p in (Decoder().decode(data), found.picture))
    assert [t.index for t in found.lost] == lost
    for tile in tile_grid(WIDTH, HEIGHT, 64):
        here = np.s_[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
        due = pattern(tile.width, tile.height, gray=False) if tile.index in lost else whole[here][..., :3]
        assert np.array_equal(got[here][..., :3], due), tile.index
    assert np.array_equal(np.asarray(Decoder().decode(found.data)), got)


def test_intact_file_loses_nothing(exact, learned):
    for data in (exact, learned):
        found = salvage(data)
        check(found, data, [])
        assert found.notes == ()
        assert found.picture.info["key"] == "value"


@pytest.mark.parametrize("lost", [[0], [5], [1, 4], [0, 2, 3, 4, 5]])
def test_damaged_tiles(exact, lost):
    spans = locate_tiles(exact).spans
    damaged = exact
    for index in lost:
        damaged = flipped(damaged, spans[index].offset + 9)
    check(salvage(damaged), exact, lost)


def test_damaged_tile_changes_only_the_rim_of_its_neighbours(learned):
    damaged = flipped(learned, locate_tiles(learned).spans[0].offset + 12)
    found = salvage(damaged)
    assert [t.index for t in found.lost] == [0]
    whole, got = (np.asarray(p).astype(int) for p in (Decoder().decode(learned), found.picture))
    assert np.array_equal(got[:64, :64], pattern(64, 64, gray=False))
    assert np.abs(got[:, 64 + REACH :] - whole[:, 64 + REACH :]).max() <= 1
    assert np.abs(got[:, 64:] - whole[:, 64:]).mean() < 3


def test_damage_found_only_by_the_symbol_crc(learned):
    container = parse_container(learned)
    payloads = [t.pack() for t in container.tiles]
    payloads[3] = payloads[3][:2] + bytes(4) + payloads[3][6:]
    damaged = write_container(container.header, payloads)
    assert [t.index for t in salvage(damaged).lost] == [3]


@pytest.mark.parametrize("tile", range(1, 6))
def test_truncated_inside_a_tile(exact, tile):
    cut = locate_tiles(exact).spans[tile].offset + 7
    check(salvage(exact[:cut]), exact, list(range(tile, 6)))


@pytest.mark.parametrize("at", [0, 1, 3, -1])
def test_damaged_index(exact, at):
    index = next(c for c in locate_tiles(exact).chunks if c.kind == wire.INDEX)
    end = locate_tiles(exact).spans[0].offset
    damaged = flipped(exact, end - 1 if at == -1 else index.offset + at)
    found = salvage(damaged)
    check(found, exact, [])
    assert found.notes


def test_damaged_index_and_a_damaged_length(exact):
    """Tiles behind the gap are located from the end of the file."""
    spans = locate_tiles(exact).spans
    damaged = flipped(flipped(exact, spans[0].offset - 1), spans[2].offset + 1)
    check(salvage(damaged), exact, [2])


def test_damaged_index_and_gaps_of_unknown_size(exact):
    """Tiles between two gaps of unknown size have no known place and are given up."""
    spans = locate_tiles(exact).spans
    damaged = flipped(exact, spans[0].offset - 1)
    damaged = flipped(flipped(damaged, spans[1].offset + 1), spans[4].offset + 1)
    check(salvage(damaged), exact, [1, 2, 3, 4])


def test_damaged_index_and_a_cut(exact):
    spans = locate_tiles(exact).spans
    damaged = flipped(exact, spans[0].offset - 1)[: spans[4].offset + 5]
    check(salvage(damaged), exact, [4, 5])


def test_damaged_metadata(exact):
    text = next(c for c in locate_tiles(exact).chunks if c.kind == wire.TEXT)
    for at in (text.offset, text.offset + 1, text.offset + 4):
        found = salvage(flipped(exact, at))
        check(found, exact, [])
        assert "key" not in found.picture.info
        assert found.picture.info["dpi"] == (72.0, 72.0)


def test_bytes_at_the_end(exact):
    found = salvage(exact + b"more")
    check(found, exact, [])
    assert found.notes == ("bytes follow the last tile",)


def test_lost_alpha_is_opaque_and_reported(photo):
    data = make(photo, alpha=True, exact=True)
    plane = next(c for c in locate_tiles(data).chunks if c.kind == wire.ALPHA)
    found = salvage(flipped(data, plane.offset + 40))
    assert (np.asarray(found.picture)[..., 3] == 255).all()
    assert any("transparency" in note for note in found.notes)
    spans = locate_tiles(data).spans
    found = salvage(flipped(data, spans[4].offset + 9))
    whole, got = np.asarray(Decoder().decode(data)), np.asarray(found.picture)
    assert (got[64:, 64:128, 3] == 255).all()
    assert np.array_equal(got[:64], whole[:64])


def test_no_tile_left(exact):
    spans = locate_tiles(exact).spans
    with pytest.raises(CorruptPayload, match="no tile is intact"):
        salvage(exact[: spans[0].offset])
    for data in (b"", exact[:12], flipped(exact, 10), b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(FormatError):
            salvage(data)


def test_random_damage_gives_correct_tiles_or_none(exact):
    """After any flip, cut or overwrite a tile shows its own samples or the pattern."""
    whole, rng = np.asarray(Decoder().decode(exact)), np.random.default_rng(3)
    grid = tile_grid(WIDTH, HEIGHT, 64)
    salvaged = 0
    for _ in range(40):
        damaged = bytearray(exact)
        for _ in range(rng.integers(1, 5)):
            at, kind = int(rng.integers(23, len(damaged))), rng.integers(3)
            if kind == 0:
                damaged[at] ^= 1 << rng.integers(8)
            elif kind == 1:
                damaged[at : at + 20] = rng.bytes(len(damaged[at : at + 20]))
            else:
                del damaged[at : at + int(rng.integers(1, 200))]
        try:
            found = salvage(bytes(damaged))
        except CodecError:
            continue
        salvaged += 1
        got, lost = np.asarray(found.picture), {t.index for t in found.lost}
        for t in grid:
            here = np.s_[t.y : t.y + t.height, t.x : t.x + t.width]
            assert t.index in lost or np.array_equal(got[here], whole[here])
    assert salvaged > 20


def test_command_writes_the_picture_and_exits_with_4(exact, tmp_path):
    damaged = flipped(exact, locate_tiles(exact).spans[1].offset + 9)
    (tmp_path / "a.vae").write_bytes(damaged)
    command = [sys.executable, "-m", "codec", "decompress", "a.vae", "--salvage"]
    environment = {"PYTHONPATH": str(Path(codec.__file__).parents[1]), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == BAD_STREAM
    assert "a.vae: 5 of 6 tiles are in a.png" in done.stderr
    assert "tile 1 at 64,0 of 64x64 pixels" in done.stderr
    assert done.stderr.count("\n") == 1
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture)[:64, 64:128], pattern(64, 64, gray=False))
    assert (tmp_path / "a.vae").read_bytes() == damaged
