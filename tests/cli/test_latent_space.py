"""`sample`, `traverse`, `interpolate`, `train vae`, `impute` and `anomaly`, called by `main`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codec
from codec.cli.main import main

USAGE, BAD_PICTURE, INPUT_OUTPUT = 2, 3, 6
HIDE_TORCH = """
from importlib.machinery import PathFinder as Finder
found = Finder.find_spec
Finder.find_spec = lambda name, *rest: None if name == "torch" else found(name, *rest)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, small_picture):
    """Change to the folder that holds photo.png, 40x30."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def one_line(text):
    assert text.startswith("vaezip: ")
    assert text.count("\n") == 1
    return text


def test_samples_are_written_and_reproducible(capsys):
    run = ["sample", "-n", "2", "--side", "64", "-Q", "-o"]
    assert main([*run, "a", "--seed", "3"]) == 0
    assert names("a") == ["sample_0000.png", "sample_0001.png", "sheet.png"]
    assert pixels("a/sample_0000.png").shape == (64, 64, 3)
    assert main([*run, "b", "--seed", "3", "--threads", "1"]) == 0
    assert main([*run, "c", "--seed", "4"]) == 0
    assert np.array_equal(pixels("a/sheet.png"), pixels("b/sheet.png"))
    assert not np.array_equal(pixels("a/sheet.png"), pixels("c/sheet.png"))
    assert capsys.readouterr().err == ""
    before = Path("a/sheet.png").read_bytes()
    assert main([*run, "a", "--seed", "5"]) == INPUT_OUTPUT
    assert "exists" in one_line(capsys.readouterr().err)
    assert Path("a/sheet.png").read_bytes() == before
    assert main([*run, "a", "--seed", "4", "-f"]) == 0
    assert np.array_equal(pixels("a/sheet.png"), pixels("c/sheet.png"))


@pytest.mark.parametrize("wrong", [["--side", "100"], ["-n", "0"], ["--temperature", "11"], ["--seed", "-1"]])
def test_sample_refuses(wrong, capsys):
    assert main(["sample", "-Q", "-o", "out", *wrong]) == USAGE
    one_line(capsys.readouterr().err)
    assert not list(Path().rglob("out/*"))


def test_train_vae_then_sample_from_it(capsys):
    Path("many").mkdir()
    for index in range(6):
        Image.new("L", (12, 12), 40 * index).save(f"many/{index}.png")
    train = ["train", "vae", "--images", "many", "--side", "6", "--latent", "2", "--epochs", "3"]
    assert main([*train, "-o", "a.safetensors"]) == 0
    assert main([*train, "-o", "b.safetensors"]) == 0
    assert main([*train, "-o", "c.safetensors", "--seed", "9"]) == 0
    a, b, c = (Path(f"{name}.safetensors").read_bytes() for name in "abc")
    assert a == b != c
    assert main(["sample", "-n", "3", "--model", "a.safetensors", "-Q", "-o", "out"]) == 0
    assert names("out") == ["sample_0000.png", "sample_0001.png", "sample_0002.png", "sheet.png"]
    assert pixels("out/sample_0000.png").shape == (6, 6)
    capsys.readouterr()
    assert main([*train, "-o", "a.safetensors", "--seed", "9"]) == INPUT_OUTPUT
    assert Path("a.safetensors").read_bytes() == a
    Path("junk").write_bytes(b"junk")
    assert main(["sample", "--model", "junk", "-Q", "-o", "other"]) == INPUT_OUTPUT
    assert "junk" in capsys.readouterr().err
    Path("many/broken.png").write_bytes(b"broken")
    assert main([*train, "-o", "d.safetensors"]) == 1
    assert "broken.png" in one_line(capsys.readouterr().err)
    assert not Path("d.safetensors").exists()


def test_traverse_and_interpolate(capsys):
    picture = pixels("photo.png")
    Image.fromarray(picture[::-1].copy()).save("other.png")
    assert main(["traverse", "photo.png", "--channel", "0", "-n", "3", "--span", "40", "-Q", "-o", "t"]) == 0
    assert names("t") == ["animation.webp", "frame_000.png", "frame_001.png", "frame_002.png", "sheet.png"]
    first, middle, last = (pixels(f"t/frame_00{i}.png").astype(int) for i in range(3))
    assert first.shape == picture.shape
    assert np.abs(middle - picture).mean() < np.abs(first - picture).mean()
    assert np.abs(middle - picture).mean() < np.abs(last - picture).mean()
    run = ["interpolate", "photo.png", "other.png", "-n", "3", "-Q", "-o"]
    assert main([*run, "straight"]) == 0
    assert main([*run, "again"]) == 0
    assert main([*run, "round", "--spherical"]) == 0
    straight, again, arc = (pixels(f"{f}/frame_001.png") for f in ("straight", "again", "round"))
    assert np.array_equal(straight, again)
    assert not np.array_equal(straight, arc)
    assert capsys.readouterr().err == ""
    for wrong in (
        ["traverse", "photo.png", "--channel", "9999", "-o", "x"],
        ["traverse", "photo.png", "--channel", "0", "-n", "1", "-o", "x"],
        ["interpolate", "photo.png", "photo.png", "-n", "1", "-o", "x"],
    ):
        assert main([*wrong, "-Q"]) == USAGE
        one_line(capsys.readouterr().err)
    Path("broken.png").write_bytes(b"broken")
    assert main(["traverse", "broken.png", "--channel", "0", "-Q", "-o", "x"]) == BAD_PICTURE
    assert "broken.png" in one_line(capsys.readouterr().err)
    assert not list(Path().rglob("x/*"))


def test_walks_accept_any_size_and_report_conversions(capsys, photo):
    Image.fromarray(photo(528, 40)).save("wide.png")
    Image.new("RGBA", (30, 30), (200, 60, 20, 120)).save("clear.png")
    assert main(["traverse", "wide.png", "--channel", "1", "-n", "2", "-o", "t"]) == 0
    assert pixels("t/frame_001.png").shape == (40, 528, 3)
    assert pixels("t/sheet.png").shape == (39, 2 * 512 + 4, 3)
    with Image.open("t/animation.webp") as animation:
        assert animation.size == (512, 39)
    assert main(["interpolate", "wide.png", "clear.png", "-n", "2", "-o", "i"]) == 0
    assert pixels("i/frame_000.png").shape == (30, 30, 3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("t: ")
    assert lines[1] == "vaezip: warning: clear.png: transparency is not kept: the picture is laid over white"
    assert lines[2].startswith(
        "vaezip: warning: wide.png, clear.png: the first picture, of 528x40 pixels, is cut"
    )
    assert lines[3].startswith("i: ")
    assert len(lines) == 4
    assert main(["interpolate", "wide.png", "clear.png", "-n", "2", "-Q", "-o", "j"]) == 0
    assert capsys.readouterr().err == ""


def test_other_uses_report_conversions_as_compress_does(capsys):
    Image.new("RGBA", (40, 30), (200, 60, 20, 120)).save("clear.png")
    Image.new("L", (40, 30)).save("mask.png")
    Path("normal").mkdir()
    Path("clear.png").rename("normal/clear.png")
    assert main(["elbo", "normal/clear.png"]) == 0
    assert main(["impute", "normal/clear.png", "--mask", "mask.png", "-o", "filled.png"]) == 0
    assert main(["anomaly", "fit", "normal", "-o", "model.json"]) == 0
    assert main(["anomaly", "score", "normal/clear.png", "--model", "model.json"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "transparency" in line]
    assert [line[: line.index(": transparency")] for line in told] == [
        "vaezip: warning: normal/clear.png",
        "vaezip: warning: normal/clear.png",
        "vaezip: warning: normal",
        "vaezip: warning: normal/clear.png",
    ]


def test_impute_is_reproducible(capsys):
    mask = np.zeros((30, 40), np.uint8)
    mask[8:14, 5:30] = 255
    Image.fromarray(mask).save("mask.png")
    source = Path("photo.png").read_bytes()
    run = ["impute", "photo.png", "--mask", "mask.png", "-n", "2", "-Q", "-o"]
    assert main([*run, "a.png"]) == 0
    assert main([*run, "b.png"]) == 0
    assert main([*run, "c.png", "--seed", "5"]) == 0
    before = pixels("photo.png")
    a, a1, b1, c, c1 = (pixels(f"{name}.png") for name in ("a", "a_1", "b_1", "c", "c_1"))
    for filled in (a, a1, b1, c, c1):
        assert np.array_equal(filled[mask == 0], before[mask == 0])
    assert np.array_equal(a, c)
    assert np.array_equal(a1, b1)
    assert not np.array_equal(a, a1)
    assert not np.array_equal(a1, c1)
    assert main([*run, "a.png"]) == INPUT_OUTPUT
    Image.new("L", (40, 31)).save("tall.png")
    assert main(["impute", "photo.png", "--mask", "tall.png", "-Q", "-o", "d.png"]) == USAGE
    Image.new("L", (40, 30), 255).save("all.png")
    assert main(["impute", "photo.png", "--mask", "all.png", "-Q", "-o", "d.png"]) == USAGE
    assert main(["impute", "photo.png", "--mask", "none.png", "-Q", "-o", "d.png"]) == INPUT_OUTPUT
    errors = capsys.readouterr().err.splitlines()
    assert [line[:8] for line in errors] == ["vaezip: "] * 4
    assert not Path("d.png").exists()
    assert Path("photo.png").read_bytes() == source


def test_anomaly_fits_pictures_of_any_kind_and_refuses_bad_input(capsys):
    Path("normal/deep").mkdir(parents=True)
    with Image.open("photo.png") as picture:
        picture.save("normal/a.gif")
        picture.save("normal/deep/b.TIF")
        Image.effect_noise((40, 30), 90).convert("RGB").save("odd.png")
    Path("normal/notes.txt").write_text("no picture")
    assert main(["anomaly", "fit", "normal", "-o", "model.json"]) == 0
    assert "2 pictures" in capsys.readouterr().err
    model = Path("model.json").read_text()
    score = ["anomaly", "score", "--model", "model.json"]
    assert main([*score, "photo.png", "odd.png", "--heatmap", "maps"]) == 0
    normal, odd = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert odd["anomalous"]
    assert odd["score"] > 2 * normal["score"]
    assert names("maps") == ["odd.png", "photo.png"]
    assert main(["anomaly", "fit", "normal", "-o", "model.json"]) == INPUT_OUTPUT
    assert Path("model.json").read_text() == model
    Path("empty").mkdir()
    assert main(["anomaly", "fit", "empty", "-o", "other.json"]) == USAGE
    assert main(["anomaly", "fit", "normal", "-o", "other.json", "--fpr", "1"]) == USAGE
    assert main([*score, "photo.png", "none.png"]) == 1
    assert main([*score, "photo.png", "--heatmap", "maps"]) == INPUT_OUTPUT
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5
    assert "no pictures" in errors[1]
    assert not Path("other.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "-o", "x"],
        ["impute", "photo.png", "--mask", "photo.png", "-o", "x.png"],
        ["train", "vae", "-o", "x.safetensors"],
        ["compress", "photo.png", "-o", "x.vae", "-e", "4"],
    ],
)
def test_without_torch_one_error_names_the_extra(arguments, vaezip, here):
    (here / "sitecustomize.py").write_text(HIDE_TORCH)
    path = f"{here}:{Path(codec.__file__).parents[1]}"
    done = vaezip(*arguments, env={"PYTHONPATH": path})
    assert done.returncode == INPUT_OUTPUT, done.stderr
    assert "pip install 'vaezip[torch]'" in one_line(done.stderr.decode())
    assert not [path for path in here.rglob("x*") if path.is_file()]


def test_walks_need_no_torch(vaezip, here):
    (here / "sitecustomize.py").write_text(HIDE_TORCH)
    path = f"{here}:{Path(codec.__file__).parents[1]}"
    done = vaezip("interpolate", "photo.png", "photo.png", "-n", "2", "-o", "x", env={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert pixels("x/frame_001.png").shape == (30, 40, 3)
