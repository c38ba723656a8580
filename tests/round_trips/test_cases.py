"""Unusual picture files of many kinds and the expected treatment of each."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

import codec


def png(width, height, depth, colour, rows, extra=b""):
    """Write a PNG by hand, for what Pillow itself cannot or will not write."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + body + chunk(b"IEND", b"")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def level(first, second):
    return int(np.abs(np.asarray(first, int) - np.asarray(second, int)).max())


@pytest.fixture(scope="module")
def small(photo):
    """A photo of 61x47 pixels."""
    return Image.fromarray(photo(61, 47))


@pytest.fixture
def refuses(encoder):
    """Return a function that checks that a file is refused with a given error whose text has given words."""

    def check(data, error, *words):
        with pytest.raises(error) as caught:
            encoder.encode(data)
        assert "\n" not in str(caught.value)
        for word in words:
            assert word in str(caught.value)

    return check


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (257, 1), (3, 5), (31, 37), (63, 65), (8192, 16)])
def test_size(photo, there_and_back, psnr, size):
    source = photo(*size)
    _, back, told = there_and_back(source)
    assert (back.size, back.mode, told) == (size, "RGB", [])
    assert psnr(source, back) > 30
    if size == (1, 1):
        assert level(source, back) <= 8
    back = np.asarray(back).astype(float)
    for edge in (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:]):
        assert abs((back[edge] - source[edge]).mean()) < 8, "no tint, no dark border"


def test_gray_of_8_bits(small, there_and_back, saved):
    for kind in ("PNG", "JPEG"):
        _, back, told = there_and_back(saved(small.convert("L"), kind))
        assert (back.mode, told) == ("L", [])


def test_gray_of_16_bits(there_and_back, saved, psnr):
    samples = np.linspace(0, 65_535, 61 * 47).reshape(47, 61).astype(np.uint16)
    _, back, told = there_and_back(saved(Image.fromarray(samples)))
    assert back.mode == "L"
    assert psnr(samples >> 8, back) > 35
    assert "16-bit samples are reduced to 8 bits" in told


def test_rgb_of_16_bits(small, there_and_back, psnr):
    rows = [(row.astype(">u2") * 257).tobytes() for row in np.asarray(small)]
    _, back, told = there_and_back(png(61, 47, 16, 2, rows))
    assert psnr(small, back) > 30
    assert "16-bit samples are reduced to 8 bits" in told


@pytest.mark.parametrize("largest", [1023, 65_535])
def test_ppm_of_more_than_8_bits(small, there_and_back, psnr, largest):
    samples = np.rint(np.asarray(small) / 255.0 * largest).astype(">u2")
    _, back, told = there_and_back(b"P6 61 47 %d\n" % largest + samples.tobytes())
    assert psnr(small, back) > 30
    assert "16-bit samples are reduced to 8 bits" in told


def test_palette_with_alpha(there_and_back, saved):
    source = Image.fromarray(np.arange(17 * 33, dtype=np.uint8).reshape(33, 17) % 8).convert("P")
    source.putpalette([value for i in range(8) for value in (30 * i, 255 - 30 * i, 90)])
    alphas = bytes(36 * i for i in range(8))
    _, back, told = there_and_back(saved(source, transparency=alphas))
    assert (back.mode, told) == ("RGBA", [])
    assert np.array_equal(back.getchannel("A"), np.frombuffer(alphas, np.uint8)[np.asarray(source)])


def test_colour_key(small, there_and_back, saved):
    key = (255, 0, 254)
    source = small.copy()
    ImageDraw.Draw(source).ellipse((20, 12, 40, 34), fill=key)
    disc = (np.asarray(source) == key).all(2)
    _, back, _ = there_and_back(saved(source, transparency=key))
    assert np.array_equal(np.asarray(back.getchannel("A")) == 0, disc)
    samples = np.asarray(back).astype(int)[~disc]
    assert not ((samples[:, 0] > 200) & (samples[:, 1] < 60) & (samples[:, 2] > 200)).any(), (
        "a magenta fringe"
    )


def test_float_is_refused(refuses, saved):
    samples = np.linspace(0, 1, 61 * 47, dtype=np.float32).reshape(47, 61)
    refuses(saved(Image.fromarray(samples), "TIFF"), codec.UnsupportedImage, "floating-point")


def test_lab(there_and_back, saved):
    _, back, told = there_and_back(saved(Image.new("LAB", (20, 20), (128, 128, 128)), "TIFF"))
    assert level(back.getpixel((10, 10)), (119, 119, 119)) <= 4
    assert any("LAB" in text for text in told)


@pytest.mark.parametrize("mode", ["CMYK", "YCCK"])
def test_cmyk_jpeg(there_and_back, saved, mode):
    source = Image.new("CMYK", (32, 32), (0, 200, 220, 10))
    data = saved(source, "JPEG", quality=95)
    if mode == "YCCK":
        # The same samples declared as YCCK: white instead of cyan.
        at = data.index(b"Adobe") + 11
        data = data[:at] + b"\2" + data[at + 1 :]
    with Image.open(BytesIO(data)) as opened:
        expected = opened.convert("RGB")
    _, back, told = there_and_back(data)
    assert level(back, expected) < 12
    assert any("CMYK" in text for text in told)
    if mode == "CMYK":
        assert back.getpixel((9, 9))[0] > 200, "red, not its negative"


def test_progressive_jpeg(small, there_and_back, saved, psnr):
    with Image.open(BytesIO(saved(small, "JPEG", quality=95, progressive=True))) as opened:
        _, back, told = there_and_back(opened)
    assert told == []
    assert psnr(small, back) > 28


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation(there_and_back, saved, kind, orientation):
    upright = Image.new("L", (48, 64), 255)
    ImageDraw.Draw(upright).polygon([(8, 8), (40, 8), (40, 18), (18, 18), (18, 56), (8, 56)], fill=0)
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind == "JPEG" else {}
    _, back, _ = there_and_back(saved(upright.transpose(turn), kind, exif=exif, **options))
    for _ in range(2):
        assert back.size == (48, 64)
        assert np.abs(np.asarray(back, int) - np.asarray(upright)).mean() < 8
        assert back.getexif()[0x0112] == 1
        # A second round trip does not turn it again.
        _, back, _ = there_and_back(saved(back, exif=back.info["exif"]))


def test_malformed_exif(small, there_and_back, saved):
    exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff" + b"\xff" * 24
    _, back, told = there_and_back(saved(small, "JPEG", exif=exif))
    assert "EXIF data is damaged and not kept" in told
    assert "exif" not in back.info


def test_metadata_comes_back(small, there_and_back, saved):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = saved(small, "JPEG", xmp=b"<x:xmpmeta>" + b" " * 300, icc_profile=profile)
    _, back, told = there_and_back(source)
    assert told == []
    assert back.info["xmp"] == b"<x:xmpmeta>" + b" " * 300
    assert back.info["icc_profile"] == profile


def test_gamma_without_a_profile_gives_a_warning(small, there_and_back):
    rows = [row.tobytes() for row in np.asarray(small)]
    data = png(61, 47, 8, 2, rows, chunk(b"gAMA", struct.pack(">I", 100_000)))
    assert any("gamma of 1" in text for text in there_and_back(data)[2])


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_animation(there_and_back, saved, kind):
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=[100, 200, 300], loop=0)
    _, back, told = there_and_back(data)
    assert any("first frame of 3 is kept, 2 left out" in text for text in told)
    assert level(back.convert("RGB"), frames[0]) <= 8


@pytest.mark.parametrize("masked", [True, False])
def test_bmp_of_32_bits(small, there_and_back, masked):
    samples = np.asarray(small)[::-1, :, ::-1]
    alpha = (
        np.arange(47 * 61, dtype=np.uint8).reshape(47, 61)[::-1] if masked else np.zeros((47, 61), np.uint8)
    )
    body = np.dstack([samples, alpha]).tobytes()
    size, compression = (108, 3) if masked else (40, 0)
    info = struct.pack("<IiiHHIIiiII", size, 61, 47, 1, 32, compression, len(body), 2835, 2835, 0, 0)
    if masked:
        info += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    start = 14 + len(info)
    _, back, _ = there_and_back(b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + body)
    assert back.mode == ("RGBA" if masked else "RGB")
    if masked:
        assert np.array_equal(back.getchannel("A"), alpha[::-1])


def test_hostile_files_are_refused(small, refuses, saved):
    good = saved(small)
    refuses(good[: len(good) * 55 // 100], codec.UnsupportedImage, "incomplete")
    flipped = bytearray(good)
    flipped[good.index(b"IDAT") + 900] ^= 0x20
    refuses(bytes(flipped), codec.UnsupportedImage, "damaged")
    refuses(png(60_000, 60_000, 8, 2, [b""]), codec.LimitExceeded, "3,600,000,000", "178,956,970")
    jpeg = bytearray(saved(small, "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 64_250, 64_250)
    refuses(bytes(jpeg), codec.LimitExceeded, "4,128,062,500")
    refuses(png(0, 5, 8, 2, [b""]), codec.UnsupportedImage)
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20)))
    refuses(png(1, 1, 8, 2, [b"abc"], bomb), codec.UnsupportedImage)


def test_format_is_detected_by_content(tmp_path, small, encoder, decoder):
    small.save(tmp_path / "jpeg.png", "JPEG")
    assert decoder.decode(encoder.encode(tmp_path / "jpeg.png")).size == (61, 47)


def test_text_stays_legible(there_and_back):
    source = Image.new("RGB", (240, 150), "white")
    for line in range(10):
        ImageDraw.Draw(source).text((4, 2 + 14 * line), "How legible is this line 0123?", fill=(10, 10, 10))
    before = np.asarray(source)
    after = np.asarray(there_and_back(source)[1])
    assert after[before > 250].mean() > 248
    strokes = before < 60
    assert after[strokes].mean() < 255 - 0.6 * (255 - before[strokes].mean())


def test_noise_is_not_larger_than_raw(encoder):
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    for quality in (75, 100):
        assert len(codec.Encoder(quality).encode(noise)) < 1.01 * noise.size


def test_smooth_gradient(there_and_back):
    source = np.repeat(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 64, 0), 3, 2)
    back = np.asarray(there_and_back(source)[1]).astype(float)
    assert level(back[..., :1], back) <= 2
    blurred = np.convolve(back[32, :, 0], np.ones(5) / 5, "valid")
    assert (np.diff(blurred) >= -0.1).all()
    assert np.abs(np.diff(back[32, :, 0])).max() <= 4


@pytest.mark.parametrize("value", [128, 255])
def test_flat(there_and_back, value):
    source = np.full((80, 80, 3), value, np.uint8)
    data, back, _ = there_and_back(source)
    assert level(source, back) <= 2
    assert len(data) < 200


def test_thin_lines(there_and_back):
    source = Image.new("RGB", (103, 101), "white")
    draw = ImageDraw.Draw(source)
    for place, colour in ((10, "black"), (33, "red"), (57, "blue"), (80, "green")):
        draw.line((place, 0, place, 100), fill=colour)
        draw.line((0, place, 102, place), fill=colour)
    back = np.asarray(there_and_back(source)[1]).astype(int)
    before = np.asarray(source).astype(int)
    drawn = (before < 200).any(2)
    assert np.abs(back - before)[drawn].mean() < 40


def test_zone_plate_stays_gray(there_and_back):
    rows, columns = np.indices((160, 160)) - 80
    plate = (127.5 + 127.5 * np.cos(np.pi * (rows**2 + columns**2) / 160)).astype(np.uint8)
    back = there_and_back(np.repeat(plate[..., None], 3, 2))[1]
    assert back.mode == "RGB"
    assert (np.ptp(np.asarray(back), axis=2) == 0).all()
    assert there_and_back(Image.fromarray(plate))[1].mode == "L"
