"""Pictures to .vae files and back by the command. Each process loads a backend, so there are few."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PICTURE = Path(__file__).parents[1] / "assets" / "chelsea.png"


def psnr(first: Image.Image, second: Image.Image) -> float:
    a, b = (np.asarray(picture.convert("RGB"), dtype=np.float64) for picture in (first, second))
    assert a.shape == b.shape
    return float(10 * np.log10(255**2 / max(((a - b) ** 2).mean(), 1e-9)))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_default_names_summary_and_fidelity(vaezip, tmp_path, stream):
    (tmp_path / "chelsea.vae").write_bytes(stream)
    done = vaezip("decompress", "chelsea.vae")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr.decode() == "chelsea.vae -> chelsea.png: 451x300\n"
    assert names(tmp_path) == ["chelsea.png", "chelsea.vae"]
    with Image.open(PICTURE) as original, Image.open(tmp_path / "chelsea.png") as decoded:
        assert decoded.format == "PNG"
        assert decoded.mode == "RGB"
        assert psnr(original, decoded) > 28
    assert len(stream) < PICTURE.stat().st_size / 5


def test_pipes_in_both_directions(vaezip, tmp_path, stream):
    packed = vaezip("compress", "-", stdin=PICTURE.read_bytes())
    assert packed.returncode == 0, packed.stderr.decode()
    assert packed.stdout == stream
    assert b"standard input -> standard output: 451x300" in packed.stderr
    assert b"bpp" in packed.stderr
    unpacked = vaezip("decompress", "-", "-Q", stdin=packed.stdout)
    assert unpacked.returncode == 0, unpacked.stderr.decode()
    assert unpacked.stderr == b""
    with Image.open(BytesIO(unpacked.stdout)) as decoded:
        assert decoded.format == "PNG"
        assert decoded.size == (451, 300)
    assert names(tmp_path) == []


def test_bad_file_does_not_stop_the_others(vaezip, tmp_path, small_picture):
    data = small_picture.read_bytes()
    for name in ("画像 ñandú.png", "-dash.png", "photo.webp"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "bad.png").write_bytes(data[:-60])
    small_picture.chmod(0o444)
    with Image.open(small_picture) as picture:
        picture.convert("RGBA").save(tmp_path / "opaque.png")
        picture.convert("L").save(tmp_path / "gray.png")
    (tmp_path / "out").mkdir()
    inputs = ["photo.png", "bad.png", "photo.webp", "画像 ñandú.png", "-dash.png", "opaque.png", "gray.png"]
    done = vaezip("compress", "-f", "-o", "out", "--", *inputs, env={"LC_ALL": "C"})
    message = done.stderr.decode()
    assert done.returncode == 1, message
    assert names(tmp_path / "out") == [
        "-dash.vae", "gray.vae", "opaque.vae", "photo.vae", "画像 ñandú.vae",
    ]  # fmt: skip
    assert "vaezip: bad.png: " in message
    # Two inputs with the same stem: the second must not replace the output of the first, even with -f.
    assert "photo.vae: is already the output of photo.png" in message
    assert "warning" not in message
    assert (tmp_path / "out" / "photo.vae").stat().st_mode & 0o200
    assert small_picture.read_bytes() == data

    done = vaezip("decompress", "out/gray.vae", "bad.png", "out/photo.vae", "-o", ".")
    message = done.stderr.decode()
    assert done.returncode == 1, message
    assert "vaezip: bad.png: " in message
    assert "photo.png: exists already" in message
    assert "gray.png: exists already" in message


def test_force_writes_through_links_and_suffix_selects_the_format(vaezip, tmp_path, stream):
    (tmp_path / "chelsea.vae").write_bytes(stream)
    (tmp_path / "link.jpg").symlink_to("target.jpg")
    (tmp_path / "target.jpg").write_bytes(b"old")
    done = vaezip("decompress", "chelsea.vae", "-f", "-o", "link.jpg", "--threads", "1")
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "link.jpg").is_symlink()
    with Image.open(tmp_path / "target.jpg") as decoded:
        assert decoded.format == "JPEG"
        assert decoded.size == (451, 300)


def test_lost_transparency_and_metadata_are_reported(vaezip, tmp_path, small_picture):
    with Image.open(small_picture) as picture:
        picture.putalpha(128)
        exif = Image.Exif()
        exif[0x010E] = "wordmark"
        picture.save(tmp_path / "glass.png", exif=exif, dpi=(144, 144))
    assert vaezip("compress", "glass.png", "-Q").returncode == 0
    data = (tmp_path / "glass.vae").read_bytes()
    assert b"wordmark" in data
    assert b"RGBA" in vaezip("info", "glass.vae").stdout
    done = vaezip("decompress", "glass.vae", "-o", "glass.ppm")
    message = done.stderr.decode()
    assert done.returncode == 0, message
    assert "warning: glass.ppm: PPM cannot store transparency: the picture is blended over white\n" in message
    assert "warning: glass.ppm: PPM cannot store resolution, EXIF: left out\n" in message
    assert vaezip("decompress", "glass.vae", "-f", "-Q").returncode == 0
    with Image.open(tmp_path / "glass.png") as back:
        assert back.mode == "RGBA"
        assert back.getexif()[0x010E] == "wordmark"

    done = vaezip("compress", "glass.png", "--strip", "--lossless", "-o", "-")
    assert done.returncode == 0, done.stderr.decode()
    assert b"wordmark" not in done.stdout
    (tmp_path / "exact.vae").write_bytes(done.stdout)
    text = vaezip("info", "exact.vae").stdout.decode()
    assert "quality: lossless" in text
    assert "1 of 512x512, 1 lossless" in text
    assert vaezip("decompress", "exact.vae", "-Q").returncode == 0
    with Image.open(tmp_path / "exact.png") as back, Image.open(tmp_path / "glass.png") as source:
        assert back.tobytes() == source.tobytes()
        assert "dpi" not in back.info


def test_region_is_cut_out(vaezip, tmp_path, stream):
    (tmp_path / "chelsea.vae").write_bytes(stream)
    done = vaezip("decompress", "chelsea.vae", "--region", "100,50,30,20", "-o", "part.png")
    assert done.stderr.decode() == "chelsea.vae -> part.png: 30x20\n"
    assert vaezip("decompress", "chelsea.vae", "-Q").returncode == 0
    with Image.open(tmp_path / "part.png") as part, Image.open(tmp_path / "chelsea.png") as whole:
        assert psnr(part, whole.crop((100, 50, 130, 70))) > 45
    done = vaezip("decompress", "chelsea.vae", "--region", "440,0,30,20", "-f", "-o", "part.png")
    assert done.returncode == 2
    assert b"does not lie in a picture of 451x300" in done.stderr


def test_full_disk_leaves_nothing(vaezip, tmp_path, stream):
    def allow_small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    (tmp_path / "chelsea.vae").write_bytes(stream)
    done = vaezip("decompress", "chelsea.vae", preexec_fn=allow_small_files_only)
    assert done.returncode == 6
    assert done.stderr.startswith(b"vaezip: chelsea.png: ")
    assert done.stderr.count(b"\n") == 1
    assert names(tmp_path) == ["chelsea.vae"]


def test_damaged_symbols_are_refused(vaezip, tmp_path, stream):
    # The chunk CRC is recomputed, so that only the symbol CRC detects the damage.
    from codec.bitstream.container import parse_container, write_container

    parsed = parse_container(stream)
    tile = parsed.tiles[0]
    words = bytearray(tile.words)
    words[len(words) // 2] ^= 0x10
    forged = type(tile)(tile.flags, tile.rate_offset, tile.crc, bytes(words))
    (tmp_path / "forged.vae").write_bytes(write_container(parsed.header, [forged.pack()]))
    done = vaezip("decompress", "forged.vae")
    assert done.returncode == 4, done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert names(tmp_path) == ["forged.vae"]


def test_info_reports_quality_and_clamping(vaezip, tmp_path, stream):
    from codec.bitstream.container import parse_container, write_container
    from codec.bitstream.header import Header

    (tmp_path / "chelsea.vae").write_bytes(stream)
    done = vaezip("info", "chelsea.vae")
    assert done.returncode == 0
    text = done.stdout.decode()
    assert "  quality: 75.0\n" in text
    parsed = parse_container(stream)
    assert f"  rate index: {parsed.header.rate_index} of 3840\n" in text
    assert f"  bpp: {8 * len(stream) / (451 * 300):.3f}\n" in text
    tiles = [tile.pack() for tile in parsed.tiles]
    for rate_index, words in ((0, "lowest rate"), (3840, "highest rate")):
        header = Header(451, 300, rate_index, parsed.header.model_id, parsed.header.tile_log2)
        (tmp_path / "end.vae").write_bytes(write_container(header, tiles))
        assert words in vaezip("info", "end.vae").stdout.decode()


def test_launchers_run_from_a_checkout(tmp_path, small_picture, child_environment):
    folder = Path(__file__).parents[2] / "bin"
    if not folder.is_dir():
        pytest.skip("not a checkout: no bin/ here")
    for program, arguments, output in (
        ("vaezip-encode", ["photo.png"], "photo.vae"),
        ("vaezip-decode", ["photo.vae", "-o", "again.png"], "again.png"),
    ):
        done = subprocess.run(
            [sys.executable, folder / program, *arguments],
            capture_output=True,
            cwd=tmp_path,
            env={key: value for key, value in child_environment.items() if key != "PYTHONPATH"},
            timeout=120,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert (tmp_path / output).is_file()
    assert os.access(folder / "vaezip-encode", os.X_OK)
