"""The commands of the VAE's other uses, each in a process of its own."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image


def test_elbo_prints_json_and_a_map(vaezip, small_picture):
    done = vaezip("elbo", "--json", "--map", "photo.png")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    parts = [record[name] for name in ("rate_z", "rate_y", "distortion", "norm")]
    assert abs(sum(parts) - record["negative_elbo"]) < 1e-9
    assert np.shape(record["map"]) == (2, 3)
    assert vaezip("elbo", "--beta", "0", "photo.png").returncode == 2
    assert vaezip("elbo", "missing.png").returncode == 6


def test_interpolate_writes_frames_sheet_and_animation(vaezip, small_picture, tmp_path):
    done = vaezip("interpolate", "photo.png", "photo.png", "-n", "3", "-o", "out")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"frame_000.png", "frame_001.png", "frame_002.png", "sheet.png", "animation.webp"}
    with Image.open(tmp_path / "out" / "animation.webp") as animation:
        assert animation.size == (40, 30)
    again = vaezip("interpolate", "photo.png", "photo.png", "-n", "3", "-o", "out")
    assert again.returncode == 6
    assert b"exists" in again.stderr


def test_impute_keeps_known_pixels_and_its_inputs(vaezip, small_picture, tmp_path):
    mask = np.zeros((30, 40), np.uint8)
    mask[10:14, 5:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    done = vaezip("impute", "photo.png", "--mask", "mask.png", "-o", "out.png")
    assert done.returncode == 0, done.stderr
    before, after = (np.asarray(Image.open(tmp_path / name)) for name in ("photo.png", "out.png"))
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert vaezip("impute", "photo.png", "--mask", "mask.png", "-o", "photo.png", "-f").returncode == 2
    assert vaezip("impute", "photo.png", "--mask", "mask.png", "-o", "out.jpg").returncode == 2


def test_anomaly_fit_and_score(vaezip, small_picture, tmp_path):
    folder = tmp_path / "normal"
    folder.mkdir()
    small_picture.rename(folder / "photo.png")
    assert vaezip("anomaly", "fit", "normal", "-o", "model.json").returncode == 0
    done = vaezip("anomaly", "score", "normal/photo.png", "--model", "model.json", "--heatmap", "maps")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["score"] > 0
    with Image.open(tmp_path / "maps" / "photo.png") as overlay:
        assert overlay.size == (40, 30)
    (tmp_path / "bad.json").write_text("{}")
    bad = vaezip("anomaly", "score", "normal/photo.png", "--model", "bad.json")
    assert bad.returncode == 2
    assert b"bad.json" in bad.stderr
