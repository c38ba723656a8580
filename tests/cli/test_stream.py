"""`vaezip compress --stream` and `decompress --stream`: frames in, frames out."""

from __future__ import annotations

import io
import os
import pty
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import codec
from codec.stream import Index, Reader


@pytest.fixture(scope="module")
def pictures(photo):
    return [Image.fromarray(photo(64, 48)).rotate(20 * i) for i in range(5)]


def pack(pictures, kind):
    fp = io.BytesIO()
    for picture in pictures:
        picture.save(fp, kind)
    return fp.getvalue()


def test_ppm_in_png_out(vaezip, pictures):
    done = vaezip("compress", "--stream", "-", "-q", "60", stdin=pack(pictures, "PPM"))
    assert done.returncode == 0, done.stderr
    assert b"5 frames" in done.stderr
    assert [f.data for f in Reader(io.BytesIO(done.stdout))] == [codec.compress(p, 60) for p in pictures]
    for kind, magic in (("png", b"\x89PNG"), ("ppm", b"P6")):
        again = vaezip("decompress", "--stream", "-", "--frames", kind, stdin=done.stdout)
        assert again.returncode == 0, again.stderr
        assert again.stdout.startswith(magic)
        wanted = [codec.decompress(codec.compress(p, 60)) for p in pictures]
        assert again.stdout == pack(wanted, kind.upper())


def test_picture_formats_may_be_mixed_and_files_get_an_index(vaezip, pictures, tmp_path):
    deep = b"P5\n# 16 bits\n2 1\n65535\n" + bytes(range(4))
    mixed = pack(pictures[:1], "PNG") + pack([pictures[1].convert("L")], "PPM") + deep
    done = vaezip("compress", "--stream", "-", "-o", "a.vaes", "--lossless", stdin=mixed)
    assert done.returncode == 0, done.stderr
    assert b"16-bit" in done.stderr
    with (tmp_path / "a.vaes").open("rb") as fp:
        modes = [codec.info(data).layout for data in Index(fp)]
    assert modes == ["RGB", "L", "L"]
    assert (
        vaezip("compress", "--stream", "-", "-o", "a.vaes", stdin=mixed).returncode == 6
    )  # the output exists already


@pytest.mark.parametrize(
    ("data", "code", "what"),
    [
        (b"P6\n64 48\n255\n" + bytes(100), 3, "frame 0 is cut short"),
        (b"P6\n99999 99999\n255\n", 5, "limit"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\1\0\0\0\1\0\0" + bytes(9), 5, "limit"),
        (b"P3\n1 1\n255\n0 0 0\n", 3, "frame 0"),
        (b"GIF89a", 3, "frame 0"),
        (b"P6\n0 4\n255\n", 3, "no pixels"),
    ],
)
def test_bad_frames_are_refused(vaezip, data, code, what, tmp_path):
    done = vaezip("compress", "--stream", "-", "-o", "out.vaes", stdin=data)
    assert done.returncode == code, done.stderr
    assert what in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("end", ["is cut short", "does not start as PPM"])
def test_complete_frames_before_a_bad_one_are_delivered(vaezip, pictures, tmp_path, end):
    whole = pack(pictures, "PPM")
    data = whole + (pack(pictures[:1], "PPM")[:-1] if end == "is cut short" else b"GIF89a")
    wanted = [codec.compress(p, 75) for p in pictures]
    piped = vaezip("compress", "--stream", "-", stdin=data)
    filed = vaezip("compress", "--stream", "-", "-o", "out.vaes", "--threads", "4", stdin=data)
    for done, stream in ((piped, piped.stdout), (filed, (tmp_path / "out.vaes").read_bytes())):
        assert done.returncode == 3
        assert b"5 frames" in done.stderr
        assert done.stderr.count(b"vaezip: ") == 1
        assert f"frame 5 {end}".encode() in done.stderr
        reader = Reader(io.BytesIO(stream), on_loss="skip")
        assert [frame.data for frame in reader] == wanted
        assert not reader.ended


def test_pictures_before_a_refused_one_are_coded(vaezip, pictures, tmp_path):
    sizes = [*pictures[:2], pictures[2].resize((300, 200))]
    stream = vaezip("compress", "--stream", "-", stdin=pack(sizes, "PPM")).stdout
    (tmp_path / "in.vaes").write_bytes(stream)
    done = vaezip(
        "decompress", "--stream", "in.vaes", "--max-pixels", "10000", "--frames", "ppm", "-o", "out.ppm"
    )
    assert (done.returncode, done.stderr.count(b"vaezip: ")) == (5, 1)
    assert (tmp_path / "out.ppm").read_bytes().count(b"P6\n64 48\n255\n") == 2


def test_damage_is_reported_and_loses_one_frame(vaezip, pictures):
    stream = bytearray(vaezip("compress", "--stream", "-", stdin=pack(pictures, "PPM")).stdout)
    stream[len(stream) // 2] ^= 1
    done = vaezip("decompress", "--stream", "-", "--frames", "ppm", stdin=bytes(stream))
    assert done.returncode == 1
    assert len(done.stdout) == 4 * len(pack(pictures[:1], "PPM"))
    assert b"frames 2 to 2" in done.stderr
    cut = vaezip("decompress", "--stream", "-", stdin=bytes(stream[: len(stream) // 3]))
    assert cut.returncode == 1
    assert b"truncated" in cut.stderr
    assert vaezip("decompress", "--stream", "-", stdin=b"no stream").returncode == 4


def test_usage(vaezip, small_picture):
    assert vaezip("compress", "--stream", "a.ppm", "b.ppm").returncode == 2
    assert vaezip("decompress", "--stream", "-", "--region", "0,0,1,1").returncode == 2
    assert vaezip("decompress", "--stream", "-", "-j", "2").returncode == 2


def test_no_bytes_to_a_terminal(child_environment, pictures):
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "codec", "compress", "--stream", "-"],
        input=pack(pictures[:1], "PPM"),
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=child_environment,
        timeout=60,
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"terminal" in done.stderr


@pytest.mark.parametrize("kind", ["ppm", "png"])
def test_pipe_between_two_ffmpeg_processes(child_environment, tmp_path, kind):
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg: apt-get install ffmpeg")
    source = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=96x64:rate=5:duration=2"]
    raw_video = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    ours = [sys.executable, "-m", "codec"]
    steps = [
        [*source, "-f", "image2pipe", "-c:v", kind, "-"],
        [*ours, "compress", "--stream", "-", "-q", "90"],
        [*ours, "decompress", "--stream", "-", "--frames", kind],
        ["ffmpeg", "-v", "error", "-f", "image2pipe", "-c:v", kind, "-framerate", "5", "-i", "-", *raw_video],
    ]
    running = []
    for step in steps:
        before = running[-1].stdout if running else subprocess.DEVNULL
        running.append(
            subprocess.Popen(step, stdin=before, stdout=subprocess.PIPE, env=child_environment, cwd=tmp_path)
        )
        if len(running) > 1:
            before.close()
    out, _ = running[-1].communicate(timeout=120)
    assert [process.wait(timeout=10) for process in running] == [0, 0, 0, 0]
    raw = subprocess.run([*source, *raw_video], capture_output=True).stdout
    assert len(out) == len(raw) == 10 * 96 * 64 * 3
    error = np.frombuffer(out, np.uint8).astype(int) - np.frombuffer(raw, np.uint8)
    assert np.abs(error).mean() < 6
