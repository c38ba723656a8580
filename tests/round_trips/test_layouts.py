"""Layouts are kept: gray without a tint, exact alpha, and colour at unchanged quality."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

import codec
from codec.bitstream import wire
from codec.cli.output_formats import FORMATS, losses, save
from codec.encode.encoder import Encoder

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def colour(face, there_and_back):
    return there_and_back(face)


def test_gray_stays_gray(face, there_and_back, psnr, colour):
    gray = face.convert("L")
    data, back, told = there_and_back(gray)
    assert (back.mode, back.size, told) == ("L", gray.size, [])
    assert psnr(gray, back) > psnr(face, colour[1]) - 0.5
    assert len(data) < len(colour[0])
    info = codec.info(data)
    assert (info.layout, info.lossless_tiles) == ("L", 0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [False, True])
def test_three_equal_channels_stay_equal(decoder, face, soft_alpha, psnr, mode, lossless):
    """Gray stored as RGB is decoded as RGB without a tint, and takes as many bytes as gray."""
    gray = face.convert("L")
    source = gray.convert("RGB")
    if mode == "RGBA":
        # Hidden colours may change.
        source.paste("magenta", mask=Image.fromarray(np.where(soft_alpha > 0, 0, 255).astype(np.uint8)))
        for picture in (source, gray):
            picture.putalpha(Image.fromarray(soft_alpha))
    coder = Encoder(75, threads=2, lossless=lossless)
    data = coder.encode(source)
    back = decoder.decode(data)
    assert back.mode == mode
    samples = np.asarray(back)
    assert (samples[..., :3] == samples[..., :1]).all()
    shown = soft_alpha > 0 if mode == "RGBA" else np.ones((80, 96), bool)
    assert psnr(samples[..., 0], np.asarray(source)[..., 0], shown) > (90 if lossless else 33)
    info = codec.info(data)
    assert (info.layout, info.gray, info.lossless_tiles) == (mode, True, int(lossless))
    as_gray = coder.encode(gray)
    assert len(data) == len(as_gray)
    assert np.array_equal(decoder.decode(as_gray).getchannel("L"), samples[..., 0])


def test_one_coloured_pixel_is_kept(encoder, face):
    source = face.convert("L").convert("RGB")
    source.putpixel((95, 79), (200, 201, 200))
    assert not codec.info(encoder.encode(source)).gray
    assert not codec.info(encoder.encode(face)).gray


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_exact_and_visible_colours_are_as_good(face, soft_alpha, there_and_back, psnr, colour, mode):
    source = face.convert(mode[:-1])
    plain = there_and_back(source)[1]
    source.putalpha(Image.fromarray(soft_alpha))
    _, back, told = there_and_back(source)
    assert (back.mode, told) == (mode, [])
    assert np.array_equal(back.getchannel("A"), soft_alpha)
    shown = soft_alpha > 0
    kept, were = (np.asarray(p)[..., :-1].squeeze() for p in (back, source))
    assert psnr(kept, were, shown) > psnr(plain, were, shown) - 1
    for ground in (0, 255):
        over = [Image.new(mode, face.size, (ground,) * (len(mode) - 1) + (255,)) for _ in range(2)]
        pair = [
            np.asarray(Image.alpha_composite(o.convert("RGBA"), p.convert("RGBA")))
            for o, p in zip(over, (source, back), strict=True)
        ]
        edge = (soft_alpha > 0) & (soft_alpha < 255)
        assert psnr(*pair, edge) > 30


def test_constant_alpha_takes_a_few_bytes(face, there_and_back, colour):
    for value in (255, 77):
        source = face.copy()
        source.putalpha(value)
        data, back, _ = there_and_back(source)
        assert back.mode == "RGBA"
        assert back.getchannel("A").getextrema() == (value, value)
        assert len(data) - len(colour[0]) == 7


def test_hidden_colours_take_no_bytes(face, there_and_back):
    rng = np.random.default_rng(0)
    alpha = np.zeros((80, 96), np.uint8)
    alpha[20:60, 20:76] = 255
    sizes, parts = [], []
    for hidden in (np.zeros((80, 96, 3), np.uint8), rng.integers(0, 256, (80, 96, 3), dtype=np.uint8)):
        samples = np.where(alpha[..., None] > 0, np.asarray(face), hidden).astype(np.uint8)
        data, back, _ = there_and_back(Image.fromarray(np.dstack([samples, alpha])))
        sizes.append(data)
        parts.append(np.asarray(back))
    assert sizes[0] == sizes[1], "what is hidden leaves no trace at all"
    noise = there_and_back(Image.fromarray(samples))[0]
    assert len(sizes[0]) < 0.5 * len(noise)


def test_wholly_transparent(there_and_back):
    data, back, _ = there_and_back(Image.new("RGBA", (300, 200), (255, 0, 0, 0)))
    assert back.getchannel("A").getextrema() == (0, 0)
    assert len(data) < 120


def test_alpha_over_many_tiles(encoder, decoder, photo):
    rng = np.random.default_rng(1)
    alpha = np.full((520, 1030), 255, np.uint8)
    alpha[:300, 500:700] = rng.integers(0, 256, (300, 200), dtype=np.uint8)
    source = Image.fromarray(np.dstack([photo(1030, 520), alpha]))
    data = encoder.encode(source)
    back = np.asarray(decoder.decode(data))
    assert np.array_equal(back[..., 3], alpha)
    part = decoder.decode(data, region=(490, 10, 60, 505))
    assert np.array_equal(part, back[10:515, 490:550])


def test_metadata_is_kept(face, saved, there_and_back):
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    source = saved(face, "PNG", icc_profile=SRGB, exif=exif, dpi=(144, 144))
    data, back, told = there_and_back(source)
    assert told == []
    assert back.info["icc_profile"] == SRGB
    assert back.info["exif"] == exif.tobytes()
    assert back.info["dpi"] == pytest.approx((144, 144), abs=0.02)
    names = [name for name, _ in codec.info(data).chunks]
    assert names == ["ICC", "EXIF", "DENSITY"]
    assert wire.chunk_name(wire.DENSITY) == "DENSITY"


MARK = "wordmark"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_strip_removes_all_metadata(tmp_path, face, kind):
    from PIL.PngImagePlugin import PngInfo

    exif = Image.Exif()
    exif[0x010E] = MARK
    exif[0x0112] = 6
    options = {"exif": exif, "icc_profile": SRGB.replace(b"sRGB", MARK[:4].encode())}
    if kind == "PNG":
        text = PngInfo()
        text.add_text(MARK, MARK)
        text.add_itxt("XML:com.adobe.xmp", MARK)
        options["pnginfo"] = text
    elif kind != "TIFF":
        options["xmp"] = MARK.encode()
    if kind in ("PNG", "JPEG", "TIFF"):
        options["dpi"] = (321, 321)
    path = tmp_path / "source"
    face.save(path, kind, **options)
    assert MARK.encode() in path.read_bytes()
    data = Encoder(30, strip=True).encode(path)
    assert codec.info(data).chunks == ()
    for word in (MARK, MARK[:4], "acsp", "Exif", "MM\0*", "II*\0", "321"):
        assert word.encode() not in data
    back = codec.decompress(data)
    assert back.size == (80, 96), "turned all the same"
    assert back.info == {}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_format_takes_every_layout(tmp_path, face, soft_alpha, suffix, mode):
    source = face.convert("L" if mode.startswith("L") else "RGB")
    if mode.endswith("A"):
        source.putalpha(Image.fromarray(soft_alpha))
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    source.info = {"exif": exif.tobytes(), "xmp": b"<x/>", "dpi": (144.0, 144.0), "Title": "Gr\u00fc\u00dfe"}
    if not mode.startswith("L"):
        source.info["icc_profile"] = SRGB
    chosen = FORMATS[suffix]
    with (tmp_path / f"out{suffix}").open("wb") as file:
        save(source, chosen, file)
    told = " ".join(losses(source, chosen))
    with Image.open(tmp_path / f"out{suffix}") as back:
        assert back.size == source.size
        if chosen.alpha and mode.endswith("A"):
            assert np.array_equal(back.convert("RGBA"), source.convert("RGBA"))
        elif mode.endswith("A"):
            assert "over white" in told
            assert back.convert("RGB").getpixel((0, 0)) == pytest.approx((255, 255, 255), abs=2)
        elif suffix not in (".jpg", ".jpeg"):
            assert np.array_equal(back.convert("RGB"), source.convert("RGB"))
        for key, name in (
            ("exif", "EXIF"),
            ("xmp", "XMP"),
            ("dpi", "resolution"),
            ("icc_profile", "colour profile"),
        ):
            if key in source.info:
                assert (key in chosen.metadata) == (name not in told)
        back.load()
        if "xmp" in chosen.metadata:
            assert b"<x/>" in (back.info.get("xmp") or b"")
        if "exif" in chosen.metadata:
            assert back.getexif()[0x010E] == "a cat"
        if "dpi" in chosen.metadata:
            assert back.info["dpi"] == pytest.approx((144, 144), abs=0.05)
        if "icc_profile" in chosen.metadata and "icc_profile" in source.info:
            assert back.info["icc_profile"] == SRGB
        if "text" in chosen.metadata:
            assert back.text["Title"] == "Gr\u00fc\u00dfe"
