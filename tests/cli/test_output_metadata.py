"""Every output format writes the picture whatever its metadata, and warns of what it leaves out."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import codec
from codec.cli.output_formats import FORMATS, losses, save
from codec.image.jpeg import pack_resource, read_resources
from codec.image.load import load_picture
from codec.image.png import read_profile, write_profile

SUFFIXES = [suffix for suffix in FORMATS if suffix not in (".jpeg", ".tiff")]
PROFILE = b"\0" * 16 + b"RGB " + b"\0" * 16 + b"acsp"
SEGMENT = 65_533


def exif_of(size):
    """Return EXIF data of `size` bytes, with the prefix that JPEG needs."""
    exif = Image.Exif()
    exif[0x010E] = ""
    exif[0x010E] = "x" * (size - len(exif.tobytes()))
    while len(exif.tobytes()) > size:
        exif[0x010E] = exif[0x010E][:-1]
    data = exif.tobytes()
    return data + bytes(size - len(data))


def xmp_of(size):
    start = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="'
    )
    end = b'"/></rdf:RDF></x:xmpmeta>'
    return start + b"x" * (size - len(start + end)) + end


def iptc_of(size):
    return dict([write_profile("iptc", pack_resource(0x0404, b"\x1c\x02\x78" + bytes(size - 3)))])


def written(picture, suffix):
    """Return the bytes of a file, and the warnings of writing it."""
    buffer = BytesIO()
    save(picture, FORMATS[suffix], buffer)
    return buffer.getvalue(), losses(picture, FORMATS[suffix])


def read_again(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_picture(data)


def source(info, mode="RGB"):
    samples = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    picture = Image.fromarray(samples).convert(mode)
    picture.info = info
    return picture


AT_AND_OVER = {
    "exif at": {"exif": exif_of(SEGMENT)},
    "exif over": {"exif": exif_of(SEGMENT + 1)},
    "exif far over": {"exif": exif_of(200_000)},
    "xmp at": {"xmp": xmp_of(65_502)},
    "xmp over": {"xmp": xmp_of(65_503)},
    "xmp over, for Pillow": {"xmp": xmp_of(65_505)},
    "xmp far over": {"xmp": xmp_of(300_000)},
    "xmp that is none": {"xmp": b"\xff" * 70_000},
    "xmp in 16 bits": {"xmp": xmp_of(70_000).decode().encode("utf-16")},
    "profile over a segment": {"icc_profile": PROFILE + bytes(100_000)},
    "profile far over": {"icc_profile": PROFILE + bytes(2 << 20)},
    "comment at": {"Comment": "c" * SEGMENT},
    "comment over": {"Comment": "c" * (SEGMENT + 1)},
    "iptc at": iptc_of(SEGMENT - 14 - 13),
    "iptc over": iptc_of(SEGMENT),
    "text far over": {"Long": "c" * (2 << 20)},
    "no key": {"": "text"},
    "long key": {"k" * 80: "text"},
    "foreign key": {"\u753b\u50cf": "text"},
    "least resolution": {"dpi": (0.001, 0.001)},
    "half a pixel an inch": {"dpi": (0.5, 0.5)},
    "resolution at": {"dpi": (65_535.0, 65_535.0)},
    "resolution over": {"dpi": (65_536.0, 300.0)},
    "greatest resolution": {"dpi": (900_000.0, 1.0)},
    "damaged exif": {"exif": b"Exif\0\0II*\0\xff\xff\xff\xff"},
    "no exif": {"exif": b"Exif\0\0what else"},
    "all at once": {
        "exif": exif_of(70_000),
        "xmp": xmp_of(70_000),
        "icc_profile": PROFILE + bytes(70_000),
        "dpi": (1e5, 1e5),
        "Comment": "c" * 70_000,
        **iptc_of(70_000),
    },
}
# At and above the limits of JPEG.
FOR_JPEG = AT_AND_OVER | {
    "profile at": {"icc_profile": PROFILE + bytes(255 * 65_519 - len(PROFILE))},
    "profile over": {"icc_profile": PROFILE + bytes(255 * 65_519 + 1 - len(PROFILE))},
}
# Keys of picture.info that Pillow's writers would interpret in another way.
KEYS = (
    *("background", "comment", "compression", "dpi", "exif", "icc_profile", "id_section", "interlace"),
    *("orientation", "transparency", "xmp", "text", "default_image", "duration", "loop", "resolution"),
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", AT_AND_OVER)
def test_every_format_writes_the_picture(suffix, case):
    """All metadata is read back as written, or a warning names what is left out."""
    info = AT_AND_OVER[case]
    data, told = written(source(info), suffix)
    big_png = suffix == ".png" and len(info.get("icc_profile", b"")) > 1 << 20
    if big_png:  # Pillow cannot read any of these
        assert told == []
        return
    back = read_again(data)
    if suffix != ".jpg":
        assert np.array_equal(back.colour[0:16, 0:16], np.asarray(source({})))
    metadata = back.metadata
    kept = {
        "exif": bool(metadata.exif),
        "xmp": b"dc:source" in metadata.xmp or metadata.xmp == info.get("xmp"),
        "icc_profile": metadata.icc == info.get("icc_profile"),
        "dpi": metadata.dpi == pytest.approx(info.get("dpi", 0), rel=0.02),
    }
    texts = [key for key in info if key not in kept]
    missing = [key for key, found in kept.items() if key in info and not found]
    missing += [key for key in texts if dict(metadata.text).get(key) != info[key]]
    # Formats that store EXIF unchecked show its damage only when it is read.
    if missing and not (
        case in ("damaged exif", "no exif") and suffix not in (".tif", ".bmp", ".ppm", ".tga")
    ):
        assert len(told) == 1
        assert "left out" in told[0]
    if not missing:
        assert told == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_text_with_any_key_does_not_stop_the_writer(suffix, mode):
    info = dict.fromkeys(KEYS, "72")
    picture = source(info, mode)
    data, told = written(picture, suffix)
    assert picture.info == info
    with Image.open(BytesIO(data)) as back:
        assert back.size == (16, 16)
        if suffix == ".png":
            assert told == []
            assert data.count(b"tEXt") == len(KEYS)
        else:
            assert any("text" in text for text in told)


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("exif at", None),
        ("exif over", "EXIF of 65,534 bytes"),
        ("xmp at", None),
        ("xmp far over", None),
        ("xmp that is none", "XMP of 70,000 bytes"),
        ("profile at", None),
        ("profile over", "colour profile of 16,707,346 bytes"),
        ("comment at", None),
        ("comment over", "text"),
        ("iptc at", None),
        ("iptc over", "IPTC"),
        ("half a pixel an inch", "a resolution of 0.5 x 0.5 pixels per inch"),
        ("resolution at", None),
        ("resolution over", "a resolution of 65536 x 300 pixels per inch"),
    ],
)
def test_what_jpeg_holds(case, told):
    info = FOR_JPEG[case]
    data, lost = written(source(info), ".jpg")
    assert lost == ([] if told is None else [f"JPEG cannot store {told}: left out"])
    with Image.open(BytesIO(data)) as back:
        assert ("exif" in back.info) == (case == "exif at")
        if case == "comment at":
            assert back.info["comment"] == b"c" * SEGMENT
        if case == "iptc at":
            assert back.info["photoshop"][0x0404][:3] == b"\x1c\x02\x78"
        if case.startswith("resolution"):
            assert back.info.get("dpi") == (None if told else (65_535, 65_535))


def test_iptc_survives_every_format_that_stores_it():
    info = iptc_of(500)
    (block,) = (read_profile(value) for value in info.values())
    for suffix in (".png", ".jpg", ".tif"):
        data, told = written(source(info), suffix)
        assert told == []
        assert dict(read_again(data).metadata.text) == info
    assert read_resources(block)[0].content in data
    assert written(source(info), ".webp")[1] == ["WEBP cannot store IPTC: left out"]
    # ImageMagick's texts may hold it without Photoshop's frame.
    plain = dict([write_profile("iptc", read_resources(block)[0].content)])
    assert dict(read_again(written(source(plain), ".jpg")[0]).metadata.text) == info


def test_tiff_keeps_its_layout_and_the_exif_byte_order():
    exif = Image.Exif()
    exif[0x0100] = exif[0x0101] = 3  # of another picture
    exif[0x013B] = "Gr\u00fc\u00dfe".encode()
    exif[0x0106] = 0
    exif.get_ifd(0x8769)[0x9286] = b"comment"
    exif[0x8769] = 0
    data, told = written(source({"exif": exif.tobytes()}), ".tif")
    back = read_again(data)
    assert told == []
    assert np.array_equal(back.colour[0:16, 0:16], np.asarray(source({})))
    assert b"Gr\xc3\xbc\xc3\x9fe\0" in data
    kept = Image.Exif()
    kept.load(back.metadata.exif)
    assert kept.get_ifd(0x8769)[0x9286] == b"comment"


def test_gray_profile_is_not_written_for_colour():
    profile = b"\0" * 16 + b"GRAY" + b"\0" * 16 + b"acsp" + bytes(100)
    data, told = written(source({"icc_profile": profile}, "L"), ".webp")
    assert told == ["WEBP cannot store colour profile of gray pictures: left out"]
    with Image.open(BytesIO(data)) as back:
        assert not back.info.get("icc_profile")
    assert written(source({"icc_profile": profile}, "L"), ".png")[1] == []


def test_command_warns_once_and_writes(vaezip, tmp_path):
    picture = source({})
    picture.save(tmp_path / "a.png", exif=exif_of(80_000), xmp=xmp_of(90_000))
    data = codec.compress(tmp_path / "a.png")
    (tmp_path / "a.vae").write_bytes(data)
    done = vaezip("decompress", "a.vae", "-o", "a.jpg")
    assert done.returncode == 0
    assert done.stderr.decode().count("warning") == 1
    assert "a.jpg: JPEG cannot store EXIF of 80,000 bytes: left out" in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    with Image.open(tmp_path / "a.jpg") as back:
        assert back.size == (16, 16)


def test_frames_of_a_stream_warn_of_what_their_format_lacks(vaezip, tmp_path):
    picture = source({}, "RGBA")
    picture.putalpha(128)
    png = BytesIO()
    picture.save(png, "PNG", dpi=(300, 300))
    made = vaezip("compress", "--stream", "-", "-o", "-", stdin=png.getvalue() * 2)
    done = vaezip("decompress", "--stream", "--frames", "ppm", "-", "-o", "out.ppm", stdin=made.stdout)
    told = done.stderr.decode()
    assert done.returncode == 0
    assert told.count("PPM cannot store transparency: the picture is blended over white") == 1
    assert told.count("PPM cannot store resolution: left out") == 1
