"""README, docs and committed results agree with each other and with the shipped weights."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

import codec
from codec.bench.metrics import METRICS
from codec.bench.results import load_results
from codec.datasets import DATA_SETS
from codec.model.index import default_model_id

pytest.importorskip("bjontegaard")
from codec.bench.readme import PAGE, PICTURE, RESULTS, write_blocks

ROOT = Path(__file__).parents[2]
FOLDER = f"benchmarks/results/{codec.__version__}"
RESULTS_FILE = ROOT / FOLDER / RESULTS

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs the source tree", allow_module_level=True)


@pytest.fixture
def script(monkeypatch) -> Callable[[str], ModuleType]:
    """Return a function that imports a script of benchmarks/ (which is not installed)."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def between(page: str, start: str, end: str) -> str:
    _, found, rest = (ROOT / page).read_text(encoding="utf-8").partition(start)
    written, closed, _ = rest.partition(end)
    assert found
    assert closed
    return written.strip()


@pytest.mark.parametrize(
    ("page", "shown_as"), [("README.md", FOLDER), ("docs/benchmarks.md", f"../{FOLDER}")]
)
def test_pages_and_results_agree(page, shown_as):
    text = (ROOT / page).read_text(encoding="utf-8")
    command = f"vaezip bench readme {FOLDER} {page}"
    assert write_blocks(text, ROOT / FOLDER, shown_as) == text, f"run: {command}"


def test_effort_tables_agree_with_the_record(script):
    effort = script("effort")
    record = json.loads((ROOT / FOLDER / "effort" / "effort.json").read_text(encoding="utf-8"))
    assert between("docs/guide/size-and-effort.md", effort.START, effort.END) == effort.table(record)


def test_hard_content_agrees_with_the_record(script):
    content = script("content")
    record = json.loads((ROOT / FOLDER / "content.json").read_text(encoding="utf-8"))
    assert len(record["kinds"]) >= 24
    assert between("README.md", content.START, content.END) == content.summary(record)
    assert between("docs/benchmarks.md", content.START, content.END) == content.table(record, f"../{FOLDER}")


def test_safety_table_agrees_with_the_records(script):
    safety = script("safety")
    assert between("docs/security.md", safety.START, safety.END) == safety.table(ROOT / FOLDER / "safety")


def test_crops_use_the_shipped_weights_at_equal_bytes():
    files = json.loads((ROOT / FOLDER / "crops.json").read_text(encoding="utf-8"))["files"]
    by_picture: dict[str, dict[str, int]] = {}
    for file in files:
        by_picture.setdefault(file["picture"], {})[file["codec"]] = file["bytes"]
        if file["codec"] == "vaezip":
            assert file["version"] == f"vaezip {codec.__version__}, model {default_model_id().hex()}"
    for sizes in by_picture.values():
        assert set(sizes) == {"vaezip", "webp", "avif"}
        assert min(sizes.values()) == sizes["vaezip"] > 0.9 * max(sizes.values())
    with Image.open(ROOT / FOLDER / "crops.webp") as picture:
        assert picture.width > 800


def test_results_cover_kodak_with_the_shipped_weights():
    results = load_results(RESULTS_FILE)
    assert set(results.pictures) == set(DATA_SETS["kodak"].sha256().values())
    assert {"vaezip", "jpeg", "jpeg-444", "webp", "avif", "jxl", "jp2"} <= set(results.codecs)
    assert results.codecs["vaezip"].version == f"vaezip {codec.__version__}, model {default_model_id().hex()}"
    for name in results.codecs:
        qualities = {key[1] for key in results.points if key[0] == name}
        assert len(qualities) >= 10
        assert len([key for key in results.points if key[0] == name]) == 24 * len(qualities)


def test_every_point_has_every_metric():
    """A missing metric would leave a gap in a codec's row of the table."""
    points = load_results(RESULTS_FILE).points
    missing = {
        (key[0], metric)
        for key, point in points.items()
        for metric in METRICS
        if point.metrics.get(metric) is None
    }
    assert not missing
    table = (
        (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8").partition("| against |")[2].split("\n\n")[0]
    )
    assert table
    assert "|  |" not in table


def test_report_is_small_and_shows_these_results():
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
