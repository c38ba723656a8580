"""Warnings of bits and sizes that Pillow drops silently, in formats other than PNG and TIFF."""

from __future__ import annotations

import struct
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image, features

from codec.image.load import ConversionWarning, load_picture


@pytest.fixture
def ramp():
    """Smooth samples of 16 bits, [64, 64, 3]."""
    y, x = np.mgrid[:64, :64]
    return np.dstack([x * 1000, y * 1000, (x + y) * 500]).astype(np.uint16)


def is_near(picture, samples, most):
    return np.abs(picture.colour[0:64, 0:64].astype(int) - (samples >> 8)).max() <= most


def test_jpeg_2000_of_16_bits(ramp, recwarn):
    exact = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    shallow = cv2.imencode(".jp2", (ramp >> 8).astype(np.uint8), exact)[1].tobytes()
    load_picture(shallow)
    assert not recwarn
    with pytest.warns(ConversionWarning, match="more than 8 bits"):
        picture = load_picture(cv2.imencode(".jp2", ramp[..., ::-1], exact)[1].tobytes())
    assert is_near(picture, ramp, 1)


@pytest.mark.skipif(
    not (features.check("avif") and cv2.haveImageWriter("x.avif")),
    reason="this Pillow reads no AVIF, or this OpenCV writes none",
)
def test_avif_of_10_bits(ramp):
    options = [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 95]
    with pytest.warns(ConversionWarning, match="more than 8 bits"):
        picture = load_picture(cv2.imencode(".avif", ramp[..., ::-1] >> 6, options)[1].tobytes())
    assert is_near(picture, ramp, 12)


def test_sgi_of_16_bits(ramp):
    header = struct.pack(">hBBHHHH", 474, 0, 2, 3, 64, 64, 3).ljust(512, b"\0")
    with pytest.warns(ConversionWarning, match="16-bit samples"):
        picture = load_picture(header + ramp.transpose(2, 0, 1)[:, ::-1].astype(">u2").tobytes())
    assert is_near(picture, ramp, 0)


def test_icon_of_several_sizes(recwarn):
    for sizes in ([(32, 32)], [(16, 16), (32, 32), (24, 24)]):
        file = BytesIO()
        Image.new("RGB", (64, 64), "red").save(file, "ICO", sizes=sizes)
        picture = load_picture(file.getvalue())
        assert (picture.width, picture.height) == (32, 32)
    assert [str(warning.message) for warning in recwarn] == [
        "only the largest of 3 sizes is kept, 2 left out"
    ]
