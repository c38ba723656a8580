"""The tables of the detail layer that export fits."""

from __future__ import annotations

import numpy as np
import pytest

from codec.decode.decoder import Decoder
from codec.encode.encoder import Encoder
from codec.entropy.detail_coder import DetailCoder
from codec.inference.weights import load_model
from codec.model.index import default_model_id
from codec.tiles.detail import BLOCKS, LAPPED, analyse_detail, quantise_detail
from codec.train.detail_tables import fit_detail

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def model():
    return load_model(default_model_id())


def coded(tables, coefficients, transform):
    """Return the bytes of the detail of coefficients at a step of 5 levels, and what the bytes decode to."""
    detail, means, _ = quantise_detail(tables, coefficients, transform, 74)
    coder = DetailCoder(tables)
    words = coder.encode(detail.q, transform, means)
    return len(words), coder.decode(words, transform, *detail.q.shape[3:]).q, detail.q


def test_tables_fit_the_picture_they_were_made_for(model, chelsea):
    tile = chelsea[:256, :256]
    tables = fit_detail(model, [tile])
    decoded = np.asarray(Decoder().decode(Encoder(60).encode(tile)))
    for transform in (LAPPED, BLOCKS):
        coefficients = analyse_detail(tile.astype(np.float32) - decoded, transform)
        size, found, q = coded(tables, coefficients, transform)
        assert np.array_equal(found, q)
        assert np.count_nonzero(q) > 1000
        assert size < 1.03 * coded(model.detail.tables, coefficients, transform)[0]


def test_tables_without_any_symbol_are_valid(model):
    flat = np.full((256, 256, 3), 90, np.uint8)
    tables = fit_detail(model, [flat])
    q = np.zeros((3, 16, 16, 2, 2), np.int16)
    q[0, 0, 0, 0, 0] = 1000
    coder = DetailCoder(tables)
    assert np.array_equal(coder.decode(coder.encode(q, LAPPED), LAPPED, 2, 2).q, q)
