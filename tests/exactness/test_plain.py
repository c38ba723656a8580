"""The plain decoder of FORMAT.md and the fast decoder give the same symbols with the shipped weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from codec.bitstream.container import parse_container
from codec.bitstream.geometry import tile_grid, z_shape
from codec.bitstream.rate_index import RATE_POINTS, SCALE_COUNT, nearest_rate_point
from codec.bitstream.tile_payloads import TilePayload
from codec.decode.symbols import decode_detail, decode_symbols
from codec.encode.encoder import Encoder
from codec.entropy import reference
from codec.entropy.tables import EntropyTables
from codec.inference.weights import load_model, read_verified
from codec.model.config import ModelConfig, ScaleLayer
from codec.model.index import default_model_id, model_entry


@pytest.fixture(scope="module")
def shipped():
    return read_verified(model_entry(default_model_id()))


@pytest.fixture(scope="module")
def tables(shipped):
    fast = EntropyTables.from_arrays(shipped[0])
    return reference.Tables(
        r_half=fast.r_half.tolist(),
        r_freq=[[]] + [fast.r_table(index).tolist() for index in range(1, SCALE_COUNT)],
        z_lo=fast.z_lo.tolist(),
        z_freq=[[fast.z_table(b, c).tolist() for c in range(fast.z_channels)] for b in range(RATE_POINTS)],
    )


def layers(shipped, prefix, name):
    arrays, meta = shipped
    return [
        reference.Layer(
            arrays[f"{prefix}.{i}.weight"].astype(int).tolist(),
            arrays[f"{prefix}.{i}.bias"].astype(int).tolist(),
            layer.shift,
            layer.shuffle,
        )
        for i, layer in enumerate(ScaleLayer(**part) for part in json.loads(meta[name]))
    ]


def plain_symbols(shipped, tables, tile, payload, header_rate_index):
    """Decode the symbols of one tile by FORMAT.md sections 6 to 8."""
    config = ModelConfig.from_json(shipped[1]["config"])
    above = header_rate_index > config.detail_from
    rate_index = payload.rate_index(config.detail_base if above else header_rate_index)
    decoder = reference.RangeDecoder(bytes(payload.words))
    stride = config.z_stride
    z = reference.decode_z(
        decoder, tables, nearest_rate_point(rate_index), *z_shape(tile.width, tile.height, stride)
    )
    base = layers(shipped, "scale", "scale_layers")
    hidden, sixteenths = reference.run(z, base)
    offset = shipped[0]["scale.offset"].astype(int).tolist()

    def index(step, r):
        context = layers(shipped, f"scale.context.{step - 1}", "context_layers") if step else None
        s = reference.scale_context(sixteenths, hidden, r, context) if context else sixteenths
        return reference.scale_indices(s, offset, rate_index, payload.lift)

    shape = (len(sixteenths), len(sixteenths[0]), len(sixteenths[0][0]))
    r = reference.decode_r(decoder, tables, shape, index)
    decoder.finish()
    return z, r


@pytest.mark.parametrize(("quality", "noise"), [(100, False), (60, True)])
def test_same_symbols(shipped, tables, photo, monkeypatch, quality, noise):
    monkeypatch.setattr("codec.encode.tile_coder.may_pay", lambda *_: False)
    pixels = photo(40, 24)
    if noise:
        pixels = np.random.default_rng(3).integers(0, 2, pixels.shape, dtype=np.uint8) * 255
    found = parse_container(Encoder(quality, threads=1).encode(pixels))
    header, payload = found.header, found.tiles[0]
    assert isinstance(payload, TilePayload)
    (tile,) = tile_grid(header.width, header.height, header.tile_size)
    model = load_model(header.model_id)
    fast = decode_symbols(model, tile, payload, header.rate_index)
    z, r = plain_symbols(shipped, tables, tile, payload, header.rate_index)
    assert fast.z.tolist() == z
    assert fast.r.tolist() == r
    assert np.count_nonzero(fast.r) > 20
    assert reference.symbol_crc(z, r) == payload.crc
    assert payload.detail is not None or quality != 100
    if payload.detail is not None:
        assert_same_detail(shipped, payload.detail, decode_detail(model, tile, payload.detail).coefficients)


def assert_same_detail(shipped, payload, fast):
    arrays, (rows, columns) = shipped[0], fast.q.shape[3:]
    half = arrays["detail.half"].tolist()
    starts = np.cumsum([0, *(2 * h + 2 for h in half[1:])])
    freq = [part.tolist() for part in np.split(arrays["detail.freq"], starts[1:-1])]
    weight, shape = arrays["detail.weight"].tolist(), arrays["detail.shape"].tolist()
    tables = reference.DetailTables(weight, shape, half, [[], *freq])
    d, scale_index = reference.decode_detail(bytes(payload.words), tables, payload.transform, rows, columns)
    for at in np.ndindex(fast.q.shape):
        assert (d.get(at, 0), scale_index.get(at, 0)) == (fast.q[at], fast.scale_index[at])
    assert any(d.values())
    assert reference.detail_crc(d, rows, columns) == payload.crc


def test_digests_compared_between_byte_orders(tmp_path):
    """Golden files have distinct digests, which another process reproduces."""
    import byte_order
    from processors import run_child

    golden = sorted((Path(__file__).parents[1] / "golden" / "v0").glob("*.vae"))
    given = tmp_path / "given.npz"
    byte_order.computed(golden, given)
    found, again = (run_child([sys.executable], byte_order.__file__, given, golden) for _ in range(2))
    assert found == again
    assert set(found["digests"]) == {path.name for path in golden}
    assert len(set(found["digests"].values())) == len(golden)
