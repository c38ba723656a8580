"""File sizes equal the ideal code length of the tables plus the container's overhead."""

from __future__ import annotations

import numpy as np
import pytest

from codec.bitstream.rate_index import nearest_rate_point
from codec.decode.symbols import decode_detail
from codec.encode.rdo.decision import ideal_bits
from codec.entropy.detail_coder import CODE_BITS, MEANS
from codec.inference.weights import load_model


@pytest.mark.parametrize("quality", [5, 50, 100])
@pytest.mark.parametrize("size", [(451, 300), (600, 520)])
def test_file_size_equals_ideal_bits_plus_overhead(photo, encoder, symbols, size, quality):
    data = encoder(quality).encode(photo(*size))
    header, tiles = symbols(data)
    model = load_model(header.model_id)
    ideal = coded = 0.0
    for tile, payload, s in tiles:
        rate_point = nearest_rate_point(payload.rate_index(model.config.base_rate_index(header.rate_index)))
        ideal += ideal_bits(model.coder.tables, s.z, s.r, s.scale_index, rate_point)
        coded += 8 * len(payload.words)
        assert (payload.detail is not None) == (quality == 100)
        if payload.detail is not None:
            found = decode_detail(model, tile, payload.detail).coefficients
            planes = (plane.reshape(3, 256, -1) for plane in found)
            none = np.zeros((1, 0, 0), np.int16)
            ideal += MEANS * CODE_BITS + ideal_bits(model.detail.tables.entropy, none, *planes, 0)
            coded += 8 * len(payload.detail.words)
    assert ideal > 8000
    assert ideal <= coded <= 1.005 * ideal
    container = len(data) - coded / 8
    # 28 bytes of header, 13 to 16 for each tile, and 9 with a detail layer; an index of several tiles takes
    # 7, and up to 3 for each.
    per_tile = 25 if quality == 100 else 16
    assert container <= (28 + per_tile if len(tiles) == 1 else 35 + (per_tile + 3) * len(tiles))
    assert len(data) <= 1.01 * ideal / 8 + container
