from __future__ import annotations

import contextlib
import random
import struct
import sys
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from codec.errors import CodecError
from codec.image.frames import split_frames
from codec.image.load import load_picture
from codec.limits import Limits

# The fuzz targets are not a package.
sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from mutate import changed

LIMITS = Limits(max_pixels=1 << 20)
COUNT = 1500
KINDS = {
    "png": ("PNG", "RGBA", set()),
    "png palette": ("PNG", "P", set()),
    "png with metadata": ("PNG", "RGB", {"tagged", "text"}),
    "jpeg with metadata": ("JPEG", "RGB", {"tagged"}),
    "jpeg cmyk": ("JPEG", "CMYK", set()),
    "tiff": ("TIFF", "RGB", {"tagged"}),
    "gif": ("GIF", "P", set()),
    "webp with metadata": ("WEBP", "RGB", {"tagged"}),
    "bmp": ("BMP", "RGB", set()),
    "ppm": ("PPM", "RGB", set()),
}


def saved(kind: str) -> bytes:
    """Return a small file."""
    form, mode, extras = KINDS[kind]
    samples = np.random.default_rng(0).integers(0, 256, (11, 13, 4), dtype=np.uint8)
    picture = Image.fromarray(samples).convert("RGB" if mode in ("P", "CMYK") else mode).convert(mode)
    options: dict[str, object] = {}
    if "tagged" in extras:
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "maker"
        exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        options = {"exif": exif, "icc_profile": profile, "dpi": (72, 72)}
    if "text" in extras:
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_text("Title", "y" * 200, zip=True)
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", '<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
    buffer = BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def png_mended(data: bytes) -> bytes:
    """Return a PNG with valid CRC-32s, as far as the lengths of its chunks can be followed."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at : at + 4], "big")
        if end + 4 > len(out):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def mutated(seed: bytes, rng: random.Random) -> bytes:
    """Return a file after one to four changes, mostly with valid CRCs of its PNG chunks."""
    data = changed(rng, [seed])
    return png_mended(data) if seed.startswith(b"\x89PNG") and rng.random() < 0.7 else data


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_pictures_are_read_or_raise_a_codec_error(kind):
    seed, rng, refused = saved(kind), random.Random(7), 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load_picture(seed, limits=LIMITS)
        for _ in range(COUNT):
            data = mutated(seed, rng)
            try:
                picture = load_picture(data, limits=LIMITS)
                assert picture.colour.shape[0] * picture.colour.shape[1] <= LIMITS.max_pixels
            except CodecError:
                refused += 1
            with contextlib.suppress(CodecError):
                assert all(split_frames(BytesIO(data), LIMITS))
    assert COUNT // 10 < refused < COUNT
