"""Metadata of pictures is kept or its loss reported: in unusual places, duplicated, truncated, rotated."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from codec.bitstream.metadata_chunks import pack_metadata
from codec.image.exif import exif_orientation, thumbnail_of
from codec.image.jpeg import pack_resource, read_resources
from codec.image.load import load_picture
from codec.image.metadata import attach
from codec.image.png import read_profile, write_profile
from codec.image.xmp import EXTENDED_PREFIX, MAIN_PREFIX, has_reference, split_extended
from codec.limits import Limits

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
IPTC = b"\x1c\x02\x05\x00\x05Titel\x1c\x02\x74\x00\x06(c) me"


def saved(picture, kind="PNG", **options):
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def load(data, **options):
    """Return a picture and the texts of all warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture = load_picture(data, **options)
    return picture, [str(warning.message) for warning in caught]


def samples(picture):
    return picture.colour[0 : picture.height, 0 : picture.width]


def exif_of(orientation=None, **more):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    exif[0x010E] = more.get("description", "a cat")
    return exif.tobytes()[6:]


def segment(marker, payload):
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def with_segments(jpeg, *segments):
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def packet(orientation, spelling='tiff:Orientation="{}"'):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        'xmlns:t="http://ns.adobe.com/tiff/1.0/" ' + spelling.format(orientation) + "/></rdf:RDF></x:xmpmeta>"
    ).encode()


def text_file(picture, key, value, chunk):
    text = PngImagePlugin.PngInfo()
    if chunk == "iTXt":
        text.add_itxt(key, value)
    else:
        text.add_text(key, value, zip=chunk == "zTXt")
    return saved(picture, pnginfo=text)


def profile(kind, content):
    return write_profile(kind, content)


def named_in(picture, place):
    """Return a file whose orientation, a turn by 90 degrees, is stored in one place."""
    if place in ("tEXt", "zTXt", "iTXt"):
        return text_file(picture, *profile("exif", b"Exif\0\0" + exif_of(6)), place)
    if place == "APP1":
        return text_file(picture, *profile("APP1", b"Exif\0\0" + exif_of(6)), "tEXt")
    if place == "xmp text":
        return text_file(picture, *profile("xmp", packet(6)), "zTXt")
    if place == "eXIf":
        return saved(picture, exif=exif_of(6))
    if place == "quoted XMP":
        return text_file(picture, "XML:com.adobe.xmp", packet(6, "tiff:Orientation = '{}'").decode(), "iTXt")
    if place == "prefixed XMP":
        return text_file(picture, "XML:com.adobe.xmp", packet(6, 't:Orientation="{}"').decode(), "iTXt")
    if place == "TIFF tag":
        return saved(picture, "TIFF", tiffinfo={0x0112: 6})
    if place == "TIFF XMP":
        return saved(picture, "TIFF", tiffinfo={700: packet(6)})
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = 6
    tags[700] = packet(6, "tiff:Orientation='{}'")
    return saved(picture, "TIFF", tiffinfo=tags)


PLACES = (
    *("tEXt", "zTXt", "iTXt", "APP1", "xmp text", "eXIf"),
    *("quoted XMP", "prefixed XMP", "TIFF tag", "TIFF XMP", "TIFF tag and XMP"),
)


@pytest.mark.parametrize("place", PLACES)
def test_orientation_is_read_and_reset_in_every_place(picture, place):
    first, told = load(named_in(picture, place))
    assert told == []
    assert np.array_equal(samples(first), np.asarray(picture.transpose(Image.Transpose.ROTATE_270)))
    assert exif_orientation(first.metadata.exif) in (None, 1)
    # No reader may find it again in any place.
    again = Image.fromarray(samples(first))
    attach(first.metadata, again)
    for key, value in first.metadata.text:
        assert "rofile" not in key, value
    for kind in ("PNG", "WEBP"):
        options = {key: again.info[key] for key in ("exif", "xmp") if key in again.info}
        second, _ = load(saved(again, kind, **({"lossless": True} if kind == "WEBP" else {}), **options))
        assert (second.width, second.height) == (first.width, first.height)


def test_exif_has_priority_over_its_copy_in_a_text(picture):
    text = PngImagePlugin.PngInfo()
    text.add_text(*profile("exif", b"Exif\0\0" + exif_of(6, description="a dog")))
    found, told = load(saved(picture, exif=exif_of(1), pnginfo=text))
    assert (told, found.width) == ([], picture.width)
    assert found.metadata.exif == exif_of(1)
    ((_, kept),) = found.metadata.text
    assert read_profile(kept) == b"Exif\0\0" + exif_of(1, description="a dog")


def test_damaged_profile_text_is_kept_as_text(picture):
    data = text_file(picture, "Raw profile type exif", "\nexif\n 5\nxyz", "tEXt")
    found, _ = load(data)
    assert found.metadata.text == (("Raw profile type exif", "\nexif\n 5\nxyz"),)


def with_thumbnail(orientation, thumbnail, own=None, order="<"):
    """Return EXIF data with a JPEG thumbnail in its second directory."""
    first = struct.pack(f"{order}HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 26)
    entries = [(0x0112, 3, own)] if own else []
    start = 8 + len(first) + 2 + 12 * (len(entries) + 2) + 4
    entries += [(0x0201, 4, start), (0x0202, 4, len(thumbnail))]
    second = struct.pack(f"{order}H", len(entries))
    for tag, kind, value in entries:
        number = struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
        second += struct.pack(f"{order}HHI", tag, kind, 1) + number
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}I", 8) + first + second + bytes(4) + thumbnail


def half(width, height):
    picture = Image.new("RGB", (width, height), "white")
    picture.paste("red", (0, 0, width // 2, height))
    return picture


@pytest.mark.parametrize("own", [None, 6])
@pytest.mark.parametrize("order", ["<", ">"])
def test_thumbnail_is_turned_with_its_picture(own, order):
    """The left half is red; after a turn by 90 degrees the upper half is."""
    exif = with_thumbnail(6, saved(half(40, 24), "JPEG", quality=90), own, order)
    found, told = load(saved(half(80, 48), "JPEG", exif=b"Exif\0\0" + exif))
    assert (told, found.width, found.height) == ([], 48, 80)
    place = thumbnail_of(found.metadata.exif)
    assert place.orientation == (1 if own else None)
    turned = Image.open(BytesIO(found.metadata.exif[place.start : place.start + place.size]))
    assert turned.size == (24, 40)
    for y, colour in ((5, (255, 0, 0)), (35, (255, 255, 255))):
        assert turned.getpixel((12, y)) == pytest.approx(colour, abs=20)


@pytest.mark.parametrize("thumbnail", [b"\xff\xd8 no JPEG at all", b"", None])
def test_thumbnail_that_cannot_be_turned_is_dropped_with_a_warning(thumbnail):
    if thumbnail is None:  # a directory whose offset lies outside the data
        exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 9999)
    else:
        exif = with_thumbnail(6, thumbnail)
    found, told = load(saved(half(80, 48), "JPEG", exif=b"Exif\0\0" + exif))
    assert [text for text in told if "thumbnail" in text and "left out" in text]
    assert thumbnail_of(found.metadata.exif) is None
    if thumbnail:
        assert thumbnail not in found.metadata.exif


def test_thumbnail_without_a_turn_is_kept_byte_for_byte():
    exif = with_thumbnail(1, saved(half(40, 24), "JPEG"))
    found, told = load(saved(half(80, 48), "JPEG", exif=b"Exif\0\0" + exif))
    assert (found.metadata.exif, told) == (exif, [])


def long_packet(n):
    return packet(1, 't:Note="' + "z" * n + '" tiff:Orientation="{}"')


def test_extended_xmp_is_joined_with_the_main_packet(picture):
    main, parts = split_extended(long_packet(150_000))
    assert len(parts) == 3
    data = with_segments(saved(picture, "JPEG", xmp=main), *(segment(0xE1, part) for part in parts[::-1]))
    found, told = load(data)
    assert told == []
    assert b't:Note="' + b"z" * 150_000 + b'"' in found.metadata.xmp
    assert not has_reference(found.metadata.xmp)


@pytest.mark.parametrize("lost", [0, 1, "all", "main"])
def test_lost_extended_xmp_is_reported_and_its_reference_removed(picture, lost):
    main, parts = split_extended(long_packet(150_000))
    if lost == "main":
        main = packet(1)  # has no reference to an extended part
    elif lost == "all":
        parts = []
    else:
        del parts[lost]
    data = with_segments(saved(picture, "JPEG", xmp=main), *(segment(0xE1, part) for part in parts))
    found, told = load(data)
    assert told == ["the extended part of the XMP is incomplete or damaged and not kept"]
    assert found.metadata.xmp.startswith((b"<?xpacket", b"<x:xmpmeta"))
    assert not has_reference(found.metadata.xmp)
    assert EXTENDED_PREFIX not in found.metadata.xmp


def icc_segment(number, count, part):
    return segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + part)


@pytest.mark.parametrize(
    ("parts", "kept", "told"),
    [
        ([(1, 1, SRGB)], SRGB, ""),
        ([(1, 1, SRGB), (1, 1, SRGB)], SRGB, ""),
        ([(1, 1, SRGB), (1, 1, SRGB[:-1] + b"x")], SRGB, "first of several colour profiles"),
        ([(2, 2, SRGB[300:]), (1, 2, SRGB[:300])], SRGB, ""),
        ([(1, 2, SRGB[:300]), (2, 2, SRGB[300:]), (2, 2, SRGB[300:])], SRGB, ""),
        ([(1, 3, SRGB[:300]), (3, 3, SRGB[300:])], b"", "damaged or incomplete"),
        ([(1, 2, SRGB[:300])], b"", "damaged or incomplete"),
    ],
)
def test_parts_of_a_profile(picture, parts, kept, told):
    data = with_segments(saved(picture, "JPEG"), *(icc_segment(*part) for part in parts))
    found, notes = load(data)
    assert found.metadata.icc == kept
    assert [told in note for note in notes] == ([True] if told else [])


def test_incomplete_cmyk_profile_is_reported(picture):
    data = with_segments(saved(picture.convert("CMYK"), "JPEG"), icc_segment(1, 2, SRGB))
    assert [note for note in load(data)[1] if "damaged or incomplete" in note]


def test_profile_that_cannot_be_inflated_is_reported(picture):
    data = saved(picture, icc_profile=SRGB)
    at = data.index(b"iCCP")
    size = int.from_bytes(data[at - 4 : at], "big")
    body = b"icc\0\0" + b"\xff" * (size - 5)
    crc = struct.pack(">I", zlib.crc32(b"iCCP" + body))
    found, notes = load(data[: at + 4] + body + crc + data[at + 8 + size :])
    assert found.metadata.icc == b""
    assert len(notes) == 1
    assert "damaged or incomplete" in notes[0]


def test_all_comments_of_a_jpeg_are_kept(picture):
    data = with_segments(saved(picture, "JPEG"), segment(0xFE, b"first remark"), segment(0xFE, b"second"))
    found, told = load(data)
    assert (found.metadata.text, told) == ((("Comment", "first remark\nsecond"),), [])


def test_all_texts_of_one_key_are_kept(picture):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "one")
    text.add_itxt("Comment", "zw\u00f6lf")
    text.add_text("Comment", "thirteen", zip=True)
    text.add_text("Comment", "one")
    text.add_text("Author", "me")
    found, told = load(saved(picture, pnginfo=text))
    assert dict(found.metadata.text) == {"Comment": "one\nzw\u00f6lf\nthirteen", "Author": "me"}
    assert told == []


@pytest.mark.parametrize("key", ["dpi", "transparency", "aspect", "gamma", "icc_profile", "exif", "comment"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_texts_with_any_key_are_kept_as_texts(picture, mode, key):
    text = PngImagePlugin.PngInfo()
    text.add_text(key, "72")
    found, _ = load(saved(picture.convert(mode), pnginfo=text))
    assert found.layout == mode
    assert (found.metadata.text, found.metadata.dpi) == (((key, "72"),), None)
    shown = Image.new("RGB", (8, 8))
    attach(found.metadata, shown)
    saved(shown, exif=shown.info.get("exif", b""), dpi=shown.info.get("dpi", (72, 72)))


def test_iptc_of_a_jpeg_is_kept_with_all_resources(picture):
    block = pack_resource(0x0404, IPTC) + pack_resource(0x040B, b"https://example.org")
    found, told = load(with_segments(saved(picture, "JPEG"), segment(0xED, b"Photoshop 3.0\0" + block)))
    assert told == []
    assert found.metadata.text == (write_profile("iptc", block),)
    assert read_profile(found.metadata.text[0][1]) == block


@pytest.mark.parametrize("numbers", [False, True])
def test_iptc_of_a_tiff_is_kept(picture, numbers):
    whole = IPTC + bytes(-len(IPTC) % 4)
    data = saved(picture, "TIFF", tiffinfo={0x83BB: whole})
    if numbers:  # declared as 32-bit integers, as some writers do
        data = data.replace(
            struct.pack("<HHI", 0x83BB, 7, len(whole)), struct.pack("<HHI", 0x83BB, 4, len(whole) // 4)
        )
    found, told = load(data)
    assert told == []
    (resource,) = read_resources(read_profile(dict(found.metadata.text)["Raw profile type iptc"]))
    assert (resource.number, resource.content) == (0x0404, whole)


def test_damaged_and_turned_resources_are_reported(picture):
    cut = pack_resource(0x0404, IPTC)[:-6]
    _, told = load(with_segments(saved(picture, "JPEG"), segment(0xED, b"Photoshop 3.0\0" + cut)))
    assert told == ["IPTC and other Photoshop data is damaged and not kept"]
    block = pack_resource(0x0404, IPTC) + pack_resource(0x040C, b"thumbnail")
    jpeg = saved(picture, "JPEG", exif=b"Exif\0\0" + exif_of(6))
    found, told = load(with_segments(jpeg, segment(0xED, b"Photoshop 3.0\0" + block)))
    assert told == ["Photoshop's thumbnail is not turned with the picture and is left out"]
    assert read_profile(dict(found.metadata.text)["Raw profile type iptc"]) == pack_resource(0x0404, IPTC)


def test_warning_names_unread_segments(picture):
    data = with_segments(
        saved(picture, "JPEG"), segment(0xEB, b"JP\0\1content credentials"), segment(0xEA, b"\1\2")
    )
    assert load(data)[1] == ["JPEG segments are not kept: APP11 (JP), APP10"]


def test_last_of_several_xmp_packets_is_kept_with_a_warning(picture):
    data = with_segments(
        saved(picture, "JPEG"),
        *(segment(0xE1, MAIN_PREFIX + xmp) for xmp in (packet(1), packet(3), packet(3))),
    )
    found, told = load(data)
    assert found.metadata.xmp == packet(1)
    assert told == ["the last of several XMP packets is kept, the others are left out"]


def test_first_of_two_iptc_blocks_is_kept_with_a_warning(picture):
    block = pack_resource(0x0404, IPTC)
    for tag, told in (
        (IPTC + b"\0", []),
        (IPTC[:-1] + b"x", ["of two different blocks of IPTC the second is left out"]),
    ):
        found, notes = load(saved(picture, "TIFF", tiffinfo={0x83BB: tag, 0x8649: block}))
        assert dict(found.metadata.text) == dict([write_profile("iptc", block)])
        assert notes == told


def test_stripped_metadata_gives_no_warning(picture):
    data = with_segments(aspect_file(picture, "JPEG", 2, 1), segment(0xEB, b"JP"))
    assert len(load(data)[1]) == 2
    assert load(data, strip=True)[1] == []


def aspect_file(picture, kind, x, y):
    if kind == "PNG":
        data = saved(picture)
        body = b"pHYs" + struct.pack(">IIB", x, y, 0)
        return data[:33] + struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    if kind == "TIFF":
        return saved(picture, "TIFF", tiffinfo={282: float(x), 283: float(y), 296: 1})
    data = bytearray(saved(picture, "JPEG"))
    at = data.index(b"JFIF\0") + 7
    data[at : at + 5] = struct.pack(">BHH", 0, x, y)
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_aspect_ratio_without_a_unit_is_reported(picture, kind):
    found, told = load(aspect_file(picture, kind, 2, 1))
    assert found.metadata.dpi is None
    assert told == ["the aspect ratio of the pixels, 1:2, is not kept: it has no unit"]
    assert load(aspect_file(picture, kind, 3, 3))[1] == [], "square pixels need no word"


def test_no_resolution_is_invented(picture):
    assert load(saved(picture, "TIFF"))[0].metadata.dpi is None


def test_tiff_tags_keep_their_bytes_and_directories(picture):
    exif = Image.Exif()
    exif[0x0131] = "plain"
    directory = exif.get_ifd(0x8769)
    directory[0x9003] = "2026:01:02 03:04:05"
    directory[0xA005] = {1: "R98"}
    exif[0x8769] = 0
    tags = {0x013B: "Gr\u00fc\u00dfe".encode(), 0x8769: exif.get_ifd(0x8769), 0x010D: "name"}
    found, told = load(saved(picture, "TIFF", tiffinfo=tags))
    assert told == []
    assert b"Gr\xc3\xbc\xc3\x9fe\0" in found.metadata.exif
    back = Image.Exif()
    back.load(found.metadata.exif)
    assert back[0x010D] == "name"
    assert back.get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"
    assert back.get_ifd(0xA005)[1] == "R98"


def test_tiff_tags_that_are_left_out_are_named(picture):
    _, told = load(saved(picture, "TIFF", tiffinfo={33550: (1.0, 1.0, 0.0), 0x010E: "a cat"}))
    assert len(told) == 1
    assert re.fullmatch(r"TIFF tags are not kept: (ModelPixelScaleTag \(33550\)|33550)", told[0])


def test_metadata_up_to_the_limit_can_be_read_again(picture):
    """The overhead of storage does not push metadata at the limit over the decoder's limit."""
    noise = np.random.default_rng(0).bytes(3000)
    for size in range(2940, 3001, 4):
        data = saved(picture, icc_profile=SRGB, exif=exif_of(1) + noise[:size], dpi=(300, 301))
        limits = Limits(max_metadata_bytes=len(SRGB) + len(exif_of(1)) + 2970)
        found, told = load(data, limits=limits)
        limits.check_metadata(sum(len(payload) for _, payload in pack_metadata(found.metadata)))
        assert bool(found.metadata.exif) == (told == [])
    assert load(data, limits=limits)[1]


@pytest.mark.parametrize(
    "xmp",
    [
        b" " * 3_000_000,
        b"<rdf:RDF" * 400_000,
        b"<?xpacket end=" * 200_000,
        b"xmlns:a='" * 300_000,
        b"".join(b'xmlns:p%d="http://ns.adobe.com/tiff/1.0/" ' % n for n in range(60_000)),
        b'<rdf:RDF> xmpNote:HasExtendedXMP="A"' + b" " * 3_000_000,
    ],
)
def test_hostile_xmp_is_parsed_quickly(picture, xmp):
    """A parser that restarts its search at every byte would take hours."""
    found, _ = load(saved(picture, "WEBP", xmp=xmp))
    split_extended(xmp)
    assert len(found.metadata.xmp) >= len(xmp) - 40


def test_hostile_resources_are_parsed_quickly():
    assert len(read_resources(pack_resource(1, b"") * 200_000)) == 200_000
