"""Runs over a folder: which pictures they find, resuming, and reproducible results."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from codec.bench import run as module
from codec.bench.codecs import find_codec
from codec.bench.results import Results, load_results
from codec.bench.run import run
from codec.errors import BenchmarkError

METRICS = ("psnr_rgb", "psnr_y")
JPEG = len(find_codec("jpeg").qualities)


@pytest.fixture
def folder(tmp_path, photo):
    """Two pictures, one of them twice, a text file and a hidden file."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(photo(64, 48)).save(folder / "b.png")
    Image.fromarray(photo(40, 56)).save(folder / "a.png")
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_text("")
    return folder


@pytest.fixture
def counted(monkeypatch):
    """Names of the codecs, one entry for each call of encode."""
    calls = []

    def find(name):
        row = find_codec(name)

        def encode(pixels, quality):
            calls.append(name)
            return row.encode(pixels, quality)

        return dataclasses.replace(row, encode=encode)

    monkeypatch.setattr(module, "find_codec", find)
    return calls


def test_run_measures_every_point_and_names_skipped_files(folder, counted):
    results = Results()
    outcome = run(results, folder, ["jpeg"], METRICS)
    assert len(results.points) == len(counted) == 2 * JPEG
    assert [picture.name for picture in results.pictures.values()] == ["a.png", "b.png"]
    assert all(set(point.metrics) == set(METRICS) for point in results.points.values())
    assert len(outcome.left_out) == 2
    assert "copy.png: the same picture as a.png" in outcome.left_out[0]
    assert "notes.txt" in outcome.left_out[1]
    assert outcome.failed == []
    assert results.versions["pillow"]
    assert set(results.machines[0]) == {"cpu", "cores", "architecture", "system"}


def test_run_resumes_by_codec_quality_picture_and_metric(folder, counted):
    results = Results()
    run(results, folder, ["jpeg"], METRICS)
    del results.points[next(iter(results.points))]
    counted.clear()
    run(results, folder, ["jpeg", "webp"], METRICS)
    assert counted.count("jpeg") == 1
    counted.clear()
    run(results, folder, ["jpeg", "webp"], METRICS)
    assert counted == []
    run(results, folder, ["jpeg"], [*METRICS, "ms_ssim"])
    assert counted.count("jpeg") == 2 * JPEG
    assert all(point.metrics["ms_ssim"] is None for key, point in results.points.items() if key[0] == "jpeg")
    counted.clear()
    run(results, folder, ["webp"], METRICS, fresh=True)
    assert set(counted) == {"webp"}


def test_points_of_another_version_are_dropped(folder, counted):
    results = Results()
    run(results, folder, ["jpeg", "webp"], METRICS)
    results.codecs["jpeg"] = dataclasses.replace(results.codecs["jpeg"], version="an older one")
    counted.clear()
    run(results, folder, ["jpeg", "webp"], METRICS)
    assert counted == ["jpeg"] * (2 * JPEG)


def test_two_runs_give_the_same_file(folder, tmp_path):
    for name in ("one", "two"):
        results = Results()
        run(results, folder, ["jpeg", "webp"], METRICS)
        results.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    loaded = load_results(tmp_path / "one")
    assert loaded == results
    loaded.save(tmp_path / "three")
    assert (tmp_path / "three").read_bytes() == (tmp_path / "one").read_bytes()
    assert b"NaN" not in (tmp_path / "one").read_bytes()


def test_processes_give_the_same_file(folder, tmp_path):
    for jobs in (1, 2):
        results = Results()
        run(results, folder, ["jpeg"], METRICS, jobs=jobs)
        results.save(tmp_path / str(jobs))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_interrupted_run_keeps_its_points(folder, tmp_path):
    results = Results()

    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(results, folder, ["jpeg"], METRICS, save=lambda: results.save(tmp_path / "r"), progress=stop)
    assert len(load_results(tmp_path / "r").points) == 5


def test_failing_codec_does_not_end_the_run(folder, monkeypatch):
    def find(name):
        row = find_codec(name)

        def encode(pixels, quality):
            if quality == row.qualities[3]:
                raise ValueError("cannot\nencode this")
            return row.encode(pixels, quality)

        return dataclasses.replace(row, encode=encode)

    monkeypatch.setattr(module, "find_codec", find)
    results = Results()
    outcome = run(results, folder, ["jpeg"], METRICS)
    assert len(results.points) == 2 * (JPEG - 1)
    assert len(outcome.failed) == 2
    assert outcome.failed[0].startswith(f"jpeg at {find_codec('jpeg').qualities[3]}: ")
    assert outcome.failed[0].endswith("a.png: cannot encode this")


def test_changed_picture_size_is_reported(folder):
    results = Results()
    run(results, folder, ["jpeg"], ["psnr_rgb"])
    results.points[next(iter(results.points))].n_bytes += 1
    outcome = run(results, folder, ["jpeg"], METRICS)
    assert len(outcome.failed) == 1
    assert "--fresh" in outcome.failed[0]


def test_results_of_other_pictures_are_refused(folder, tmp_path):
    results = Results()
    run(results, folder, ["jpeg"], ["psnr_rgb"])
    (folder / "b.png").unlink()
    with pytest.raises(BenchmarkError, match=r"other pictures \(b\.png"):
        run(results, folder, ["jpeg"], ["psnr_rgb"])


def test_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="no picture"):
        run(Results(), tmp_path, ["jpeg"], METRICS)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps({"format": 99}), '{"format": 1, "pictures": [{}]}', "\0"]
)
def test_other_files_are_refused(text, tmp_path):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match=r"r\.json"):
        load_results(path)


def test_small_pictures_have_no_ms_ssim_and_no_nan(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(folder / "dot.png")
    results = Results()
    outcome = run(results, folder, ["jpeg", "webp"], (*METRICS, "ms_ssim"))
    assert outcome.failed == []
    assert {point.metrics["ms_ssim"] for point in results.points.values()} == {None}
