"""Every benchmarked codec encodes, decodes and describes itself."""

from __future__ import annotations

import numpy as np
import pytest

from codec.bench import codecs
from codec.bench.codecs import CODECS, MissingCodec, find_codec
from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX, MAX_RATE_INDEX
from codec.errors import UsageError

CLASSICAL = [row for row in CODECS if row.name != "vaezip" and not row.slow]


@pytest.mark.parametrize("row", CLASSICAL, ids=lambda row: row.name)
def test_codec_trades_bytes_for_quality(row, photo):
    try:
        version = row.version()
    except MissingCodec as error:
        pytest.skip(str(error))
    assert any(character.isdigit() for character in version)
    pixels = photo(96, 80)
    sizes, errors = [], []
    for quality in (row.qualities[2], row.qualities[-2]):
        data = row.encode(pixels, quality)
        decoded = row.decode(data)
        assert decoded.shape == pixels.shape
        assert decoded.dtype == np.uint8
        sizes.append(len(data))
        errors.append(np.square(pixels.astype(float) - decoded).mean())
    assert sizes[0] < sizes[1]
    assert errors[0] > errors[1]


def test_vaezip_runs_by_the_public_classes(photo):
    row = find_codec("vaezip")
    pixels = photo(40, 24)
    data = row.encode(pixels, row.qualities[4])
    assert row.decode(data).shape == pixels.shape
    assert "model" in row.version()
    import codec

    assert codec.info(data).rate_index == row.qualities[4]
    assert row.qualities[0] == 0
    assert MAX_RATE_INDEX < row.qualities[-1] <= MAX_HEADER_RATE_INDEX


def test_every_codec_has_ten_qualities_and_a_unique_name():
    assert len({row.name for row in CODECS}) == len(CODECS)
    for row in CODECS:
        assert len(set(row.qualities)) >= 10, row.name
        assert "Q" in row.settings


def test_error_names_an_unknown_codec():
    with pytest.raises(UsageError, match="'gif'; choose from vaezip, jpeg"):
        find_codec("gif")


def test_error_of_a_missing_codec_says_what_to_install(monkeypatch):
    monkeypatch.setattr(codecs.features, "version", lambda feature: None)
    with pytest.raises(MissingCodec, match="no avif"):
        find_codec("avif").version()

    def fail(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(codecs, "import_module", fail)
    with pytest.raises(MissingCodec, match="pip install"):
        find_codec("jxl").version()
