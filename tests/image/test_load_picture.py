"""`load_picture`: modes keep their channels, orientation is applied once, metadata is kept."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from codec.bitstream.metadata_chunks import Metadata
from codec.errors import UnsupportedImage
from codec.image.exif import PREFIX, upright_exif
from codec.image.load import ConversionWarning, load_picture
from codec.image.lossless import may_pay, pack, pack_plane, unpack, unpack_plane
from codec.image.transparency import fill_hidden
from codec.image.xmp import upright_xmp
from codec.limits import Limits

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(picture, kind="PNG", **options):
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def load_silently(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_picture(image)


def everything(samples):
    return samples[0 : samples.shape[0], 0 : samples.shape[1]]


def exif_of(orientation, **tags):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = tags.get("description", "a cat")
    return exif.tobytes()[6:]


@pytest.fixture
def gray(rgb):
    return Image.fromarray(rgb[:, :, 0])


@pytest.fixture
def alpha(rgb):
    return Image.fromarray(np.maximum(rgb[:, :, 1], 1))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "RGBX"])
def test_plain_modes_keep_their_channels(picture, alpha, mode):
    source = picture.convert(mode.removesuffix("A").removesuffix("X"))
    if mode.endswith("A"):
        source.putalpha(alpha)
    if mode == "RGBX":
        source = source.convert("RGBX")
    loaded = load_silently(source)
    assert loaded.layout == mode.removesuffix("X")
    colour = source.convert("RGB") if mode != "LA" else source.getchannel("L").convert("RGB")
    assert np.array_equal(everything(loaded.colour), np.asarray(colour))
    assert (loaded.alpha is None) == (not mode.endswith("A"))
    if loaded.alpha is not None:
        assert np.array_equal(loaded.alpha, np.asarray(alpha))


def test_opaque_alpha_stays(picture):
    picture.putalpha(255)
    assert load_silently(picture).layout == "RGBA"


@pytest.mark.parametrize(("mode", "layout"), [("RGBa", "RGBA"), ("La", "LA")])
def test_premultiplied_alpha_is_undone(picture, mode, layout):
    source = picture.convert(layout[:-1])
    source.putalpha(128)
    loaded = load_silently(source.convert(mode))
    assert loaded.layout == layout
    expected = np.asarray(source.convert("RGBA"))[..., :3].astype(int)
    assert np.abs(everything(loaded.colour) - expected).max() <= 2
    assert (loaded.alpha == 128).all()


def test_two_colours_are_gray(gray):
    loaded = load_silently(gray.convert("1"))
    assert loaded.layout == "L"
    assert set(np.unique(everything(loaded.colour))) <= {0, 255}


def test_palettes(picture):
    palette = picture.quantize(16)
    loaded = load_silently(palette)
    assert loaded.layout == "RGB"
    assert np.array_equal(everything(loaded.colour), np.asarray(palette.convert("RGB")))
    for transparency in (3, bytes([255, 0, 128])):
        source = Image.open(BytesIO(saved(palette, transparency=transparency)))
        loaded = load_silently(source)
        assert loaded.layout == "RGBA"
        expected = np.asarray(source.convert("RGBA"))
        assert np.array_equal(loaded.alpha, expected[..., 3])
        shown = loaded.alpha > 0
        assert np.array_equal(everything(loaded.colour)[shown], expected[shown][:, :3])


def test_gray_palette_is_gray():
    source = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    gif = Image.open(BytesIO(saved(source, "GIF")))
    loaded = load_silently(gif)
    assert loaded.layout == "L"
    assert np.array_equal(everything(loaded.colour)[..., 0], np.asarray(source))


def test_transparent_colour_does_not_count_as_colour():
    source = Image.new("RGB", (8, 8), (255, 0, 255))
    source.paste((10, 20, 30), (0, 0, 4, 8))
    loaded = load_silently(saved(source, transparency=(255, 0, 255)))
    assert loaded.layout == "RGBA"
    assert np.array_equal(loaded.alpha, np.repeat([[255] * 4 + [0] * 4], 8, 0))
    assert (everything(loaded.colour) == (10, 20, 30)).all()
    loaded = load_silently(saved(source.convert("L"), transparency=0))
    assert (loaded.layout, loaded.alpha.min()) == ("LA", 255)


def test_transparent_gray_of_16_bits():
    samples = np.array([[0, 300, 65_535]], np.uint16)
    with pytest.warns(ConversionWarning, match="8 bits"):
        loaded = load_picture(saved(Image.fromarray(samples), transparency=300))
    assert (loaded.layout, loaded.alpha.tolist()) == ("LA", [[255, 0, 255]])


@pytest.mark.parametrize("adobe", [None, 0, 2])
def test_cmyk_is_never_the_negative(adobe):
    source = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    data = saved(source, "JPEG", quality=95)
    if adobe is not None:
        assert b"Adobe" in data
    with pytest.warns(ConversionWarning, match="CMYK"):
        loaded = load_picture(data)
    assert loaded.layout == "RGB"
    assert np.abs(everything(loaded.colour).astype(int) - (255, 0, 0)).max() < 20


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("where", ["exif", "xmp"])
def test_orientation_is_applied_once_and_reset(picture, orientation, where):
    xmp = b'<x tiff:Orientation="%d" other="6"/>' % orientation
    options = {"exif": exif_of(orientation)} if where == "exif" else {"xmp": xmp}
    data = saved(picture, "WEBP", lossless=True, **options)
    # Not every version of Pillow reads XMP.
    with Image.open(BytesIO(saved(picture, "WEBP", lossless=True, exif=exif_of(orientation)))) as opened:
        from PIL import ImageOps

        upright = np.asarray(ImageOps.exif_transpose(opened))
    loaded = load_silently(data)
    assert np.array_equal(everything(loaded.colour), upright)
    if where == "exif":
        exif = Image.Exif()
        exif.load(loaded.metadata.exif)
        assert (exif[0x0112], exif[0x010E]) == (1, "a cat")
    else:
        assert loaded.metadata.xmp == b'<x tiff:Orientation="1" other="6"/>'


@pytest.mark.parametrize("order", ["little", "big"])
def test_only_the_orientation_changes(order):
    def number(n, size):
        return n.to_bytes(size, order)

    def exif(orientation):
        entry = number(0x0112, 2) + number(3, 2) + number(1, 4) + number(orientation, 2) + bytes(2)
        start = (b"II" if order == "little" else b"MM") + number(42, 2) + number(8, 4)
        return start + number(1, 2) + entry + number(0, 4) + b"maker note"

    assert upright_exif(exif(6)) == upright_exif(exif(1)) == exif(1)


@pytest.mark.parametrize(
    "exif",
    [b"", b"II*\0", b"text", b"MM\0*\0\0\0\x08\xff\xff" + bytes(40), b"II*\0\xff\xff\xff\xff" + bytes(20)],
)
def test_damaged_exif_is_dropped_with_a_warning(picture, exif):
    assert upright_exif(exif) is None
    if exif:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            with pytest.warns(ConversionWarning, match="EXIF data is damaged"):
                assert load_picture(saved(picture, exif=exif)).metadata.exif == b""


def test_orientation_in_any_spelling_of_xmp():
    for packet in (b"<tiff:Orientation>6</tiff:Orientation>", b"tiff:Orientation = '8'"):
        assert upright_xmp(packet) == packet.replace(b"6", b"1").replace(b"8", b"1")
    assert (
        upright_xmp(b"tiff:Orientation='1' exif:Orientation='6'")
        == b"tiff:Orientation='1' exif:Orientation='6'"
    )


def test_metadata_of_a_png(picture):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "plain")
    text.add_itxt("Title", "Gr\u00fc\u00dfe \u753b\u50cf")
    text.add_text("Long", "word " * 100, zip=True)
    text.add_itxt("XML:com.adobe.xmp", "<x/>")
    data = saved(picture, icc_profile=SRGB, exif=exif_of(1), dpi=(144, 144), pnginfo=text)
    metadata = load_silently(data).metadata
    assert metadata.icc == SRGB
    assert metadata.exif == exif_of(1)
    assert metadata.xmp == b"<x/>"
    assert metadata.dpi == pytest.approx((144, 144), abs=0.02)
    assert dict(metadata.text) == {
        "Comment": "plain",
        "Title": "Gr\u00fc\u00dfe \u753b\u50cf",
        "Long": "word " * 100,
    }


def test_metadata_of_a_jpeg(picture):
    data = saved(
        picture,
        "JPEG",
        icc_profile=SRGB,
        exif=PREFIX + exif_of(1),
        xmp=b"<x/>",
        dpi=(300, 300),
        comment="hello",
    )
    metadata = load_silently(data).metadata
    assert metadata == Metadata(SRGB, exif_of(1), b"<x/>", (("Comment", "hello"),), (300.0, 300.0))
    assert load_silently(saved(picture, "JPEG", exif=PREFIX + exif_of(1))).metadata.dpi is None


def test_descriptive_tags_of_a_tiff(picture):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    metadata = load_silently(saved(picture, "TIFF", exif=exif.tobytes(), dpi=(200, 200))).metadata
    back = Image.Exif()
    back.load(metadata.exif)
    assert back[0x010F] == "maker"
    assert back.get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"
    assert 0x0111 not in back, "where the strips lie says nothing about the picture"
    assert metadata.dpi == (200, 200)
    assert load_silently(saved(picture, "TIFF")).metadata.exif == b""


def test_profile_of_another_kind_gives_a_warning(gray):
    with pytest.warns(ConversionWarning, match="another kind"):
        assert load_picture(saved(gray, icc_profile=SRGB)).metadata.icc == b""


def test_too_much_metadata_gives_a_warning(picture):
    data = saved(picture, "JPEG", icc_profile=SRGB, dpi=(300, 300))
    with pytest.warns(ConversionWarning, match="the limit is 100"):
        metadata = load_picture(data, limits=Limits(max_metadata_bytes=100)).metadata
    assert metadata == Metadata(dpi=(300.0, 300.0))


def test_hidden_colours_continue_the_visible_ones():
    rng = np.random.default_rng(0)
    colour = np.empty((70, 90, 3), np.uint8)
    colour[:] = np.linspace(40, 200, 90).astype(np.uint8)[None, :, None]
    noise = rng.integers(0, 256, colour.shape, dtype=np.uint8)
    alpha = np.full((70, 90), 255, np.uint8)
    alpha[20:50, 30:60] = 0
    filled = np.where(alpha[..., None] > 0, colour, noise)
    fill_hidden(filled, alpha)
    assert np.array_equal(filled[alpha > 0], colour[alpha > 0])
    assert np.abs(filled.astype(int) - colour).max() < 40
    steps = np.abs(np.diff(filled.astype(int), axis=1))[20:50, 29:60]
    assert steps.max() <= 20


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 3), (33, 64)])
def test_nothing_visible_becomes_flat(size):
    colour = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    fill_hidden(colour, np.zeros(size, np.uint8))
    assert (colour == 128).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 31)])
def test_lossless_streams(size):
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    assert np.array_equal(unpack(pack(samples), "tile 0"), samples)
    plane = samples[..., 0]
    assert np.array_equal(unpack_plane(pack_plane(plane), size, "alpha"), plane)
    assert pack_plane(np.full(size, 7, np.uint8)) == b"\7"
    assert (unpack_plane(b"\7", size, "alpha") == 7).all()


def test_lossless_coding_is_not_tried_on_photos(chelsea):
    assert not may_pay(chelsea, chelsea[..., 0].size // 8)
    assert may_pay(chelsea, chelsea[..., 0].size)
    assert may_pay(np.zeros_like(chelsea), 10)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_without_a_range_are_refused(mode):
    with pytest.raises(UnsupportedImage, match="no defined range"):
        load_picture(saved(Image.new(mode, (4, 4), 1), "TIFF"))
