"""What is committed agrees with itself: README with the results, and both with the shipped weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import codec
from codec.bench.metrics import METRICS
from codec.bench.results import load_results
from codec.data.fetch import DATA_SETS
from codec.model.index import default_model_id

pytest.importorskip("bjontegaard")
from codec.bench.report.readme import PAGE, PICTURE, RESULTS, measured, read_block

ROOT = Path(__file__).parents[2]
FOLDER = f"benchmarks/results/{codec.__version__}"
RESULTS_FILE = ROOT / FOLDER / RESULTS

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs the source tree", allow_module_level=True)


def test_readme_and_results_agree():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    command = f"vaezip bench readme {FOLDER} README.md"
    assert read_block(text) == measured(ROOT / FOLDER, FOLDER), f"run: {command}"


def test_results_are_of_all_of_kodak_and_of_the_shipped_weights():
    results = load_results(RESULTS_FILE)
    assert set(results.pictures) == set(DATA_SETS["kodak"].sha256().values())
    assert {"vaezip", "jpeg", "jpeg-444", "webp", "avif", "jxl", "jp2"} <= set(results.codecs)
    assert results.codecs["vaezip"].version == f"vaezip {codec.__version__}, model {default_model_id().hex()}"
    for name in results.codecs:
        qualities = {key[1] for key in results.points if key[0] == name}
        assert len(qualities) >= 10
        assert len([key for key in results.points if key[0] == name]) == 24 * len(qualities)


def test_every_point_has_every_metric():
    """So that no codec's row in README has a gap."""
    points = load_results(RESULTS_FILE).points
    missing = {
        (key[0], metric)
        for key, point in points.items()
        for metric in METRICS
        if point.metrics.get(metric) is None
    }
    assert not missing
    assert "|  |" not in read_block((ROOT / "README.md").read_text(encoding="utf-8")).split("![")[0]


def test_report_is_small_and_of_these_results():
    page = ROOT / FOLDER / PAGE
    assert page.stat().st_size < 8_000_000
    assert load_results(RESULTS_FILE).codecs["vaezip"].version in page.read_text(encoding="utf-8")
    assert (ROOT / FOLDER / PICTURE).is_file()


def test_published_points_name_their_sources():
    rows = json.loads((ROOT / "benchmarks/published/kodak.json").read_text(encoding="utf-8"))["rows"]
    wanted = {"bmshj2018-hyperprior", "mbt2018-mean", "cheng2020-anchor", "ELIC", "VTM", "AV1"}
    assert {row["name"] for row in rows} == wanted
    for row in rows:
        assert "@" in row["source"]
        assert len(row["bpp"]) == len(row["psnr_rgb"]) >= 6
