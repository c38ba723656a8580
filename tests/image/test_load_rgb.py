"""`load_rgb`: every kind of source becomes samples or is refused; losses are reported in warnings."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from codec.errors import LimitExceeded, UnsupportedImage, UsageError
from codec.image.load import ConversionWarning, load_rgb
from codec.limits import Limits


def file_bytes(picture, kind="PNG", **options):
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def load_silently(image):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_rgb(image)


def png(width, height, depth, colour, rows):
    """Write a PNG by hand, for what Pillow itself cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_every_kind_of_source_gives_the_same_samples(tmp_path, rgb, picture):
    data = file_bytes(picture)
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    for source in (rgb, picture, data, bytearray(data), memoryview(data), path, str(path)):
        loaded = load_silently(source)
        assert loaded.dtype == np.uint8
        assert loaded.flags.c_contiguous
        assert np.array_equal(loaded, rgb)


def test_callers_picture_is_not_modified(picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.open(BytesIO(file_bytes(picture, exif=exif)))
    before = dict(turned.info)
    load_silently(turned)
    load_silently(turned)
    assert turned.size == picture.size
    assert turned.info == before
    turned.getpixel((0, 0))  # raises if it has been closed


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(rgb, orientation):
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: np.rot90,
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo(rgb)))
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(load_silently(file_bytes(stored, kind, exif=exif)), rgb), kind


def test_picture_with_damaged_exif_is_read(picture, rgb):
    data = file_bytes(picture, exif=b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff" + b"\xff" * 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(load_rgb(data), rgb)


def test_arrays_need_not_be_contiguous(rgb):
    assert np.array_equal(load_silently(rgb[::2, ::-1]), rgb[::2, ::-1])


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros(4, np.uint8), r"\[H, W\]"),
        (np.zeros((9, 9, 5), np.uint8), r"\[9, 9, 5\]"),
        (np.zeros((9, 9, 0), np.uint8), r"\[9, 9, 0\]"),
        (np.zeros((3, 8, 8), np.uint8), "transpose"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"\[2, 4, 4, 3\]"),
        (np.zeros((4, 4, 3), np.float32), "255"),
        (np.zeros((4, 4), np.float16), "255"),
        (np.zeros((4, 4, 3), np.int64), "uint8"),
        (np.zeros((4, 4), np.int16), "uint8"),
        (np.zeros((4, 4), np.int8), "uint8"),
        (np.zeros((4, 4), np.uint32), "uint8"),
        (np.zeros((4, 4), object), "uint8"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros((4, 0, 3), np.uint8), "no pixels"),
    ],
)
def test_errors_of_wrong_arrays_say_what_to_do(array, word):
    with pytest.raises(UnsupportedImage, match=word):
        load_rgb(array)


@pytest.mark.parametrize("thing", [None, 3, [[1, 2, 3]]])
def test_unreadable_sources_are_refused(thing):
    with pytest.raises(UsageError, match=type(thing).__name__):
        load_rgb(thing)


def test_gray_becomes_three_equal_channels(rgb):
    gray = rgb[:, :, 0]
    loaded = load_silently(Image.fromarray(gray))
    assert np.array_equal(loaded, np.stack([gray] * 3, axis=2))


def test_palette_without_transparency_is_kept_silently(picture):
    palette = picture.quantize(16)
    assert np.array_equal(load_silently(palette), np.array(palette.convert("RGB")))


def test_opaque_alpha_is_dropped_silently(picture, rgb):
    picture.putalpha(255)
    assert np.array_equal(load_silently(picture), rgb)


def test_transparency_is_composed_over_white(picture, rgb):
    alpha = np.random.default_rng(2).integers(0, 256, rgb.shape[:2], dtype=np.uint8)
    alpha[0] = 0
    picture.putalpha(Image.fromarray(alpha))
    with pytest.warns(ConversionWarning, match="white"):
        loaded = load_rgb(picture)
    share = alpha[:, :, None] / 255
    assert np.abs(loaded - (rgb * share + 255 * (1 - share))).max() <= 1
    assert (loaded[0] == 255).all()


def test_transparent_colour_key_is_honoured():
    picture = Image.new("RGB", (4, 4), (255, 0, 255))
    with pytest.warns(ConversionWarning, match="white"):
        loaded = load_rgb(file_bytes(picture, transparency=(255, 0, 255)))
    assert (loaded == 255).all()


def test_transparent_palette_is_honoured():
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 200, 0, 0])
    with pytest.warns(ConversionWarning, match="white"):
        loaded = load_rgb(file_bytes(picture, transparency=bytes([255, 0])))
    assert (loaded == 255).all()


def test_16_bit_gray_keeps_its_high_byte_and_is_never_clipped():
    samples = np.array([[0, 255, 256, 32_768, 65_535]], dtype=np.uint16)
    with pytest.warns(ConversionWarning, match="8 bits"):
        loaded = load_rgb(file_bytes(Image.fromarray(samples)))
    assert loaded[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_16_bit_rgb_gives_a_warning():
    row = struct.pack(">6H", 0, 256, 65_535, 32_768, 511, 512)
    with pytest.warns(ConversionWarning, match="8 bits"):
        loaded = load_rgb(png(2, 1, 16, 2, [row]))
    assert loaded.tolist() == [[[0, 1, 255], [128, 1, 2]]]


@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_without_a_range_are_refused(mode):
    with pytest.raises(UnsupportedImage, match="no defined range"):
        load_rgb(file_bytes(Image.new(mode, (4, 4), 1), "TIFF"))


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "HSV", "YCbCr"])
def test_other_colour_models_become_rgb_with_a_warning(mode):
    values = {
        "CMYK": (0, 255, 255, 0),
        "LAB": (128, 128, 128),
        "HSV": (0, 255, 255),
        "YCbCr": (128, 128, 128),
    }
    near = {"CMYK": (255, 0, 0), "LAB": (119, 119, 119), "HSV": (255, 0, 0), "YCbCr": (128, 128, 128)}
    with pytest.warns(ConversionWarning, match=mode):
        loaded = load_rgb(Image.new(mode, (2, 2), values[mode]))
    assert np.abs(loaded[0, 0].astype(int) - near[mode]).max() <= 2


def test_srgb_profile_changes_no_sample(picture, rgb):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(load_silently(file_bytes(picture, icc_profile=profile)), rgb)


def test_other_profile_is_converted_or_reported(picture, rgb):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # The sRGB profile with red and green exchanged, under another name.
    swapped = srgb.replace(b"rXYZ", b"....", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"....", b"gXYZ", 1)
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    with pytest.warns(ConversionWarning, match="to sRGB"):
        loaded = load_rgb(file_bytes(picture, icc_profile=swapped))
    assert np.abs(loaded.astype(int) - rgb[:, :, [1, 0, 2]]).max() <= 3
    with pytest.warns(ConversionWarning, match="damaged"):
        assert np.array_equal(load_rgb(file_bytes(picture, icc_profile=b"no profile" * 20)), rgb)


def test_unusual_gamma_gives_a_warning(picture, rgb):
    gamma = b"gAMA" + struct.pack(">I", 100_000)
    data = file_bytes(picture)
    data = data[:33] + struct.pack(">I", 4) + gamma + struct.pack(">I", zlib.crc32(gamma)) + data[33:]
    with pytest.warns(ConversionWarning, match="gamma of 1"):
        assert np.array_equal(load_rgb(data), rgb)


def test_animation_gives_its_first_frame_and_reports_the_others(picture):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("blue", "lime")]
    for kind in ("PNG", "GIF", "WEBP", "TIFF"):
        first = Image.new("RGB", (4, 4), "red")
        options = {"lossless": True} if kind == "WEBP" else {}
        data = file_bytes(first, kind, save_all=True, append_images=frames, **options)
        with pytest.warns(ConversionWarning, match="first frame of 3 is kept, 2 left out"):
            assert np.array_equal(load_rgb(data), np.array(first)), kind


@pytest.mark.filterwarnings("ignore")  # Pillow warns of some of them itself
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_truncated_files_are_refused(kind):
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = file_bytes(Image.fromarray(noise), kind)
    for length in (1, len(data) // 3, len(data) * 2 // 3):
        with pytest.raises(UnsupportedImage):
            load_rgb(data[:length])


def test_damaged_pixels_are_refused(picture):
    data = bytearray(file_bytes(picture))
    data[60] ^= 0xFF
    with pytest.raises(UnsupportedImage, match="damaged"):
        load_rgb(bytes(data))


def test_bombs_are_refused_from_their_header():
    with pytest.raises(LimitExceeded, match="3,600,000,000 pixels"):
        load_rgb(png(60_000, 60_000, 8, 2, [b""]))
    with pytest.raises(LimitExceeded, match="65,535"):
        load_rgb(png(70_000, 1, 8, 2, [b""]))


def test_limits_apply_to_every_kind_of_source(picture, rgb):
    for source in (rgb, picture, file_bytes(picture)):
        with pytest.raises(LimitExceeded, match="63 pixels and the limit is 62"):
            load_rgb(source, limits=Limits(max_pixels=62))
        assert load_rgb(source, limits=Limits(max_pixels=63)).shape == (7, 9, 3)


def test_postscript_is_never_run():
    with pytest.raises(UnsupportedImage, match="PostScript"):
        load_rgb(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


def test_messages_about_a_path_name_it(tmp_path):
    path = tmp_path / "bad.png"
    path.write_bytes(b"text")
    with pytest.raises(UnsupportedImage, match=f"^{path}: "):
        load_rgb(path)
    with pytest.raises(FileNotFoundError):
        load_rgb(tmp_path / "missing.png")
    with pytest.raises(IsADirectoryError):
        load_rgb(tmp_path)


def test_files_are_closed(tmp_path, picture, recwarn):
    path = tmp_path / "photo.png"
    picture.save(path)
    load_rgb(path)
    path.write_bytes(b"text")
    with pytest.raises(UnsupportedImage):
        load_rgb(path)
    assert not [warning for warning in recwarn if issubclass(warning.category, ResourceWarning)]
