"""File sizes equal the ideal code length of the tables plus the container's overhead."""

from __future__ import annotations

import pytest

from codec.bitstream.rate_index import nearest_rate_point
from codec.encode.rdo.decision import ideal_bits
from codec.inference.weights import load_model


@pytest.mark.parametrize("quality", [5, 50, 100])
@pytest.mark.parametrize("size", [(451, 300), (600, 520)])
def test_file_size_equals_ideal_bits_plus_overhead(photo, encoder, symbols, size, quality):
    data = encoder(quality).encode(photo(*size))
    header, tiles = symbols(data)
    model = load_model(header.model_id)
    ideal = coded = 0.0
    for _, payload, s in tiles:
        rate_point = nearest_rate_point(payload.rate_index(header.rate_index))
        ideal += ideal_bits(model.coder.tables, s.z, s.r, s.scale_index, rate_point)
        coded += 8 * len(payload.words)
    assert ideal > 8000
    assert ideal <= coded <= 1.005 * ideal
    container = len(data) - coded / 8
    # 28 bytes of header, 13 to 16 for each tile; an index of several tiles takes 7, and up to 3 for each.
    assert container <= (44 if len(tiles) == 1 else 35 + 19 * len(tiles))
    assert len(data) <= 1.01 * ideal / 8 + container
