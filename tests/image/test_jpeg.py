"""Damaged samples of a JPEG, which has no checksum, are reported; intact files never are."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from codec.errors import CodecError
from codec.image.load import load_picture

WORDS = "coded samples are damaged"
KINDS = [
    {},
    {"restart_marker_blocks": 7},
    {"restart_marker_rows": 1},
    {"progressive": True},
    {"optimize": True},
]


def told(data):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load_picture(data)
    return [str(warning.message) for warning in caught]


def jpeg(picture, **options):
    file = BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def sheet(photo):
    return Image.fromarray(photo(300, 200))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", KINDS)
def test_intact_files_give_no_warning(sheet, mode, options):
    white = Image.new("RGB", (200, 133), "white")
    lines = white.copy()
    lines.paste("black", (20, 20, 60, 22))
    for picture in (sheet, white, lines, sheet.crop((40, 40, 73, 57)), white.crop((0, 0, 5, 7))):
        for quality in (30, 95):
            for subsampling in (0, 2):
                data = jpeg(picture.convert(mode), quality=quality, subsampling=subsampling, **options)
                for file in (
                    data,
                    data + b"what a camera puts behind",
                    data[:-2] + b"\xff\xff\xff" + data[-2:],
                ):
                    assert not any(WORDS in text for text in told(file))


def damages(data, rng):
    """Yield copies of a file with 512 bytes of its coded samples removed, overwritten or duplicated."""
    start = data.index(b"\xff\xda") + 14
    for at in map(int, rng.integers(start, len(data) - 1100, 8)):
        yield data[:at] + data[at + 512 :]
        yield data[:at] + bytes(512) + data[at + 512 :]
        yield data[: at + 512] + data[at:]


@pytest.mark.parametrize("options", KINDS[:3])
def test_most_lost_and_overwritten_bytes_are_reported(sheet, options):
    data = jpeg(sheet, quality=85, **options)
    rng, n_told, n_passed = np.random.default_rng(0), 0, 0
    for damaged in damages(data, rng):
        try:
            found = told(damaged)
        except CodecError:
            continue
        n_told += any(WORDS in text for text in found)
        n_passed += not found
    assert n_told > 10
    assert n_told >= 2 * n_passed


def test_callers_picture_is_checked_and_stays_readable(sheet):
    data = jpeg(sheet, quality=85)
    at = len(data) // 2
    with pytest.warns(UserWarning, match=WORDS), Image.open(BytesIO(data[:at] + data[at + 600 :])) as picture:
        loaded = load_picture(picture)
    assert (loaded.width, loaded.height) == sheet.size
