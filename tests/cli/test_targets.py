"""Targets and effort for one file, many files, streams and Pillow's save."""

from __future__ import annotations

import io
import json

from PIL import Image

import codec.pillow
import codec.stream


def test_size_target_by_every_interface(vaezip, chelsea_path, photo):
    done = vaezip("compress", chelsea_path, "-o", "a.vae", "--target-size", "9kB", "-e", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert 8910 <= json.loads(done.stdout)["bytes"] <= 9000
    done = vaezip(
        "compress", "-", "-o", "-", "--target-bpp", "0.6", "-e", "0", stdin=chelsea_path.read_bytes()
    )
    assert 0.594 <= 8 * len(done.stdout) / (451 * 300) <= 0.6
    stream = io.BytesIO()
    Image.fromarray(photo(120, 90)).save(stream, "VAEZIP", target_size=2000, effort=0)
    assert 1980 <= len(stream.getvalue()) <= 2000


def test_streams_accept_targets(vaezip, photo):
    frames = io.BytesIO()
    Image.fromarray(photo(120, 90)).save(frames, "PPM")
    done = vaezip(
        "compress", "--stream", "-", "-o", "-", "--target-size", "2kB", "-e", "0", stdin=frames.getvalue()
    )
    assert done.returncode == 0, done.stderr
    (frame,) = codec.stream.Reader(io.BytesIO(done.stdout))
    assert 1980 <= len(frame.data) <= 2000


def test_missed_target_exits_with_5_and_writes_no_file(vaezip, small_picture, tmp_path):
    done = vaezip("compress", small_picture, "-o", "out.vae", "--target-size", "35")
    assert done.returncode == 5
    assert b"smallest file possible is" in done.stderr
    assert not (tmp_path / "out.vae").exists()


def test_wrong_targets_are_usage_errors(vaezip, small_picture):
    for options in (
        ["--target-size", "big"],
        ["--target-psnr", "36", "--target-ssim", "0.9"],
        ["--target-ssim", "1.5"],
        ["--target-psnr", "nan"],
        ["--lossless", "--target-psnr", "36"],
        ["-e", "10"],
    ):
        done = vaezip("compress", small_picture, *options)
        assert done.returncode == 2, options
        assert b"Traceback" not in done.stderr


def test_manifest_of_another_effort_is_refused(vaezip, small_picture):
    first = vaezip("batch", small_picture, "--manifest", "m.jsonl", "-e", "0")
    assert first.returncode == 0, first.stderr
    other = vaezip("batch", small_picture, "--manifest", "m.jsonl", "-e", "1")
    assert other.returncode == 2
    assert b"other settings" in other.stderr
