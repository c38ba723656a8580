"""The Pillow plugin."""

from __future__ import annotations

import io
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, UnidentifiedImageError

import codec
import codec.pillow
from codec.pillow import os_errors


@pytest.fixture
def picture(photo):
    return Image.fromarray(photo(80, 60))


def saved(picture, **options):
    fp = io.BytesIO()
    picture.save(fp, format="VAEZIP", **options)
    return fp.getvalue()


def test_round_trip_by_name(picture, tmp_path):
    path = tmp_path / "a.vae"
    picture.save(path, quality=60)
    assert path.read_bytes() == codec.compress(picture, 60)
    with Image.open(path) as opened:
        assert (opened.format, opened.mode, opened.size) == ("VAEZIP", "RGB", (80, 60))
        assert opened.get_format_mimetype() == "image/x-vaezip"
        assert opened.tobytes() == codec.decompress(path.read_bytes()).tobytes()
        assert opened.fp is None  # a file that Pillow opened by name is closed once it is loaded
        assert opened.resize((9, 9)).size == (9, 9)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "CMYK"])
@pytest.mark.filterwarnings("ignore::codec.ConversionWarning")
def test_modes(picture, mode):
    with Image.open(io.BytesIO(saved(picture.convert(mode), lossless=True))) as opened:
        kept = mode if mode in ("L", "LA", "RGB", "RGBA") else "L" if mode == "1" else "RGB"
        assert opened.mode == kept
        opened.load()
        assert opened.tobytes() == picture.convert(mode).convert(kept).tobytes()


def test_opening_reads_only_the_header(tmp_path):
    """Size, mode and metadata need neither torch nor the bytes of the tiles."""
    path = tmp_path / "a.vae"
    Image.effect_noise((600, 520), 60).convert("RGB").save(path, dpi=(72, 144), xmp=b"<x/>")
    code = (
        "import sys, codec.pillow\n"
        "from PIL import Image\n"
        "class Counted:\n"
        "    def __init__(self, fp): self.fp, self.n = fp, 0\n"
        "    def read(self, n=-1):\n"
        "        part = self.fp.read(n); self.n += len(part); return part\n"
        "    def __getattr__(self, name): return getattr(self.fp, name)\n"
        "fp = Counted(open(sys.argv[1], 'rb'))\n"
        "picture = Image.open(fp)\n"
        "print(picture.size, picture.mode, picture.info, fp.n < 200, 'torch' in sys.modules)\n"
        "fp.fp.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(codec.__file__).parents[1])},
        timeout=60,
    )
    assert done.stdout == "(600, 520) RGB {'xmp': b'<x/>', 'dpi': (72.0, 144.0)} True False\n", done.stderr


def test_metadata(picture):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture.info.update(icc_profile=profile, comment=b"not passed", exif=exif.tobytes(), dpi=(9, 9))
    with Image.open(io.BytesIO(saved(picture))) as opened:
        assert opened.info == {"icc_profile": profile}  # as for JPEG, EXIF must be passed
    with Image.open(io.BytesIO(saved(picture, icc_profile=None, exif=exif, xmp=b"<x/>"))) as opened:
        assert opened.getexif()[0x010F] == "a camera"
        assert set(opened.info) == {"exif", "xmp"}
    with Image.open(io.BytesIO(saved(picture, exif=exif.tobytes()))) as opened:
        assert opened.getexif()[0x010F] == "a camera"


def test_orientation_is_applied_once(picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(saved(picture, exif=exif))) as opened:
        assert opened.size == (60, 80)
        assert opened.getexif()[0x0112] == 1


def test_bombs_give_pillows_own_error(monkeypatch):
    data = saved(Image.new("RGB", (200, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15_000)
    with pytest.warns(Image.DecompressionBombWarning), Image.open(io.BytesIO(data)) as opened:
        opened.load()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()


def test_file_objects_are_left_open(picture):
    fp = io.BytesIO(saved(picture) + b"behind")
    with Image.open(fp) as opened:
        opened.load()
        assert not fp.closed
        assert fp.read() == b"behind"


@pytest.mark.parametrize("cut", [10, 30, -1])
def test_damage_raises_a_named_error(picture, cut):
    with pytest.raises(codec.TruncatedData), Image.open(io.BytesIO(saved(picture)[:cut])) as opened:
        opened.load()


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"MM\0\x2a\0\0\0\x08\0\0\0\0\0\0"}])
def test_damage_is_an_oserror_that_loaders_can_skip(picture, tmp_path, options):
    """Damage raises an OSError that is also the usual CodecError; when opening, UnidentifiedImageError."""
    path = tmp_path / "a.vae"
    data = saved(picture.convert("RGBA"), **options)
    head = data.index(b"MM\0") if "exif" in options else 9
    found = set()
    for at in {*range(8, 70), *range(70, len(data), 97), len(data) - 1}:
        for damaged in (data[:at], flipped(data, at)):
            path.write_bytes(damaged)
            with pytest.raises(codec.CodecError) as plain:
                codec.Decoder().decode_from(io.BytesIO(damaged))
            with (
                pytest.raises(OSError, match=f"^{re.escape(str(path))}: ") as error,
                Image.open(path) as opened,
            ):
                opened.load()
            assert isinstance(error.value, type(plain.value))
            assert str(error.value) == f"{path}: {plain.value}"
            assert error.value.offset == plain.value.offset
            found.add(isinstance(error.value, UnidentifiedImageError))
            if at <= head:
                assert isinstance(error.value, UnidentifiedImageError)
    assert found == {True, False}


def test_errors_are_oserrors_and_can_be_pickled():
    for kind in vars(codec.errors).values():
        if kind is codec.UsageError or not (isinstance(kind, type) and issubclass(kind, codec.CodecError)):
            continue
        for opening, base in ((False, OSError), (True, UnidentifiedImageError)):
            with pytest.raises(kind) as raised, os_errors("a.vae", opening=opening):
                raise kind("is at fault", field="crc", offset=7)
            error = pickle.loads(pickle.dumps(raised.value))  # noqa: S301
            assert isinstance(error, (kind, base))
            assert isinstance(error, base)
            assert str(error) == "a.vae: is at fault"
            assert (error.field, error.offset, error.errno) == ("crc", 7, None)


def test_pictures_that_cannot_be_saved_are_oserrors(tmp_path):
    path = tmp_path / "a.vae"
    with pytest.raises(OSError, match="floating-point") as error:
        Image.new("F", (4, 4)).save(path)
    assert isinstance(error.value, codec.UnsupportedImage)
    with pytest.raises(OSError, match="smallest file possible") as error:
        Image.effect_noise((64, 64), 90).save(path, target_size=30)
    assert isinstance(error.value, codec.LimitExceeded)
    assert not path.exists()


def test_verify_accepts_intact_files_and_closes_them(picture, tmp_path):
    path = tmp_path / "a.vae"
    for lossless in (False, True):
        picture.convert("LA").save(path, lossless=lossless)
        with Image.open(path) as opened:
            opened.verify()
            assert opened.fp is None
            with pytest.raises(ValueError, match="open the picture again"):
                opened.load()
    fp = io.BytesIO(path.read_bytes() + b"behind")
    with Image.open(fp) as opened:
        opened.verify()
    assert fp.read() == b"behind"


def test_verify_finds_damage(picture, tmp_path):
    path = tmp_path / "a.vae"
    data = saved(picture.convert("LA"))
    starts = len(data) // 4
    for at in {*range(starts, len(data), 61), len(data) - 1}:
        for damaged in (data[:at], flipped(data, at)):
            path.write_bytes(damaged)
            try:
                opened = Image.open(path)
            except UnidentifiedImageError:
                continue
            with pytest.raises(OSError, match=re.escape(str(path))) as error, opened:
                opened.verify()
            assert isinstance(error.value, codec.FormatError)
            assert opened.fp is None
    path.write_bytes(data[:-1])
    with pytest.raises(codec.TruncatedData), Image.open(path) as opened:
        opened.verify()


def test_wrong_options_are_refused(picture, tmp_path):
    with pytest.raises(ValueError, match="quality"):
        picture.save(tmp_path / "a.vae", quality=101)
    assert not (tmp_path / "a.vae").exists()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("losless", "lossless"), ("qualty", "quality"), ("Quality", "quality"), ("target_siz", "target_size")],
)
def test_misspelt_options_are_refused(picture, tmp_path, wrong, right):
    with pytest.raises(codec.UsageError, match=f"'{wrong}'; did you mean '{right}'"):
        picture.save(tmp_path / "a.vae", **{wrong: True})
    assert not (tmp_path / "a.vae").exists()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("exif", ["a camera", {0x010F: "a camera"}]),
        ("icc_profile", ["sRGB", ImageCms.createProfile("sRGB")]),
        ("xmp", [{}]),
        ("dpi", [300, (300,), ("many", 9), (0, 72), (72, float("nan"))]),
    ],
)
def test_metadata_of_wrong_types_is_refused(picture, name, values):
    for value in values:
        with pytest.raises(codec.UsageError, match=f"^{name} must be"):
            saved(picture, **{name: value})


@pytest.mark.parametrize("name", ["optimize", "progressive", "speed", "method", "pnginfo", "append_images"])
def test_options_of_other_formats_give_a_warning(picture, name):
    plain = saved(picture)
    with pytest.warns(UserWarning, match=f"VAEZIP has no option '{name}'") as told:
        assert saved(picture, **{name: []}) == plain
    assert [w.filename for w in told] == [__file__]


def test_known_options_give_no_warning(picture):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = {"exif": Image.Exif(), "icc_profile": None, "xmp": b"<x/>", "dpi": (72, 72), "threads": 1}
        how = {"effort": 1, "tune": "visual", "seconds": 9, "roi": ["0,0,9,9"]}
        saved(picture, quality=60, target_size=900, **kept, **how)
        saved(picture, lossless=True)
        saved(picture.convert("L"), transparency=9, target_psnr=35)


def test_imageio(picture, tmp_path):
    imageio = pytest.importorskip("imageio.v3", reason="needs imageio: pip install '.[dev]'")
    path = tmp_path / "a.vae"
    imageio.imwrite(path, np.asarray(picture), plugin="pillow", quality=60)
    assert path.read_bytes() == codec.compress(picture, 60)
    assert np.array_equal(
        imageio.imread(path, plugin="pillow"), np.asarray(codec.decompress(path.read_bytes()))
    )
    assert imageio.improps(path, plugin="pillow").shape == (60, 80, 3)
