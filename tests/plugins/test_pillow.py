"""`.vae` as one of Pillow's formats."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import codec
import codec.pillow


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


def test_opening_reads_the_head_alone(tmp_path):
    """Size, mode and metadata are there without torch, and without the bytes of the tiles."""
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


def test_bombs_are_pillows_business(monkeypatch):
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
def test_damage_is_named(picture, cut):
    with pytest.raises(codec.TruncatedData), Image.open(io.BytesIO(saved(picture)[:cut])) as opened:
        opened.load()


def test_wrong_options_are_refused(picture, tmp_path):
    with pytest.raises(ValueError, match="quality"):
        picture.save(tmp_path / "a.vae", quality=101)
    assert not (tmp_path / "a.vae").exists()


def test_imageio(picture, tmp_path):
    imageio = pytest.importorskip("imageio.v3", reason="needs imageio: pip install '.[dev]'")
    path = tmp_path / "a.vae"
    imageio.imwrite(path, np.asarray(picture), plugin="pillow", quality=60)
    assert path.read_bytes() == codec.compress(picture, 60)
    assert np.array_equal(
        imageio.imread(path, plugin="pillow"), np.asarray(codec.decompress(path.read_bytes()))
    )
    assert imageio.improps(path, plugin="pillow").shape == (60, 80, 3)
