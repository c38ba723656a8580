"""The report and the Markdown tables, made from synthetic results; the report is viewed in a browser."""

from __future__ import annotations

import base64
import re
import shutil

import pytest
from PIL import Image

from codec.bench.page import SideBySide, Version, largest_within, lossless, middle
from codec.bench.results import CodecFacts, Picture, Point, Results
from codec.cli.main import main
from codec.errors import BenchmarkError

pytest.importorskip("bjontegaard")
pytest.importorskip("matplotlib")
from codec.bench import page, plots
from codec.bench.codecs import find_codec
from codec.bench.readme import END, START, SUMMARY_END, SUMMARY_START, measured, read_block, replace_block

LABELS = {"vaezip": "vaezip", "jpeg": "JPEG <4:2:0>", "webp": "WebP"}
NEEDED = {"vaezip": 0.8, "jpeg": 1.0, "webp": 0.5}


def example_results() -> Results:
    """Results in which vaezip needs 20 % fewer bits than JPEG and 60 % more than WebP."""
    results = Results(machines=[{"cpu": "a & b", "cores": 2, "system": "Linux", "architecture": "x86_64"}])
    results.codecs = {name: CodecFacts(label, "1.0", "quality=Q") for name, label in LABELS.items()}
    results.pictures = {sha: Picture(sha, f"{sha}.png", 100, 100) for sha in ("one", "two")}
    for name, factor in NEEDED.items():
        for quality in range(10):
            for sha in results.pictures:
                size = round(factor * 400 * 1.3**quality)
                psnr = 26 + 1.5 * quality
                ms_ssim = 1 - 0.1 / (quality + 1)
                metrics = {"psnr_rgb": psnr, "psnr_y": psnr + 1, "ms_ssim": ms_ssim}
                results.points[name, quality, sha] = Point(size, metrics)
    return results


@pytest.fixture
def pair(photo) -> SideBySide:
    """A side-by-side comparison in which WebP stands in for vaezip, so that no weights are needed."""
    pixels = photo(120, 90)
    sizes = []
    for limit in (900, 2500):
        versions = [Version("vaezip", "vaezip", limit, 30.0, lossless(pixels // 2), "image/webp")]
        for name in ("jpeg", "webp"):
            row = find_codec(name)
            data = largest_within(lambda quality, row=row: row.encode(pixels, quality), 100, limit)
            versions.append(Version(name, row.label, len(data), 28.0, data, f"image/{name}"))
        sizes.append(versions)
    return SideBySide("chelsea", 120, 90, lossless(pixels), sizes)


def test_largest_within_a_number_of_bytes(photo):
    pixels = photo(120, 90)
    row = find_codec("jpeg")
    for limit in (1200, 3000, 10**6):
        data = largest_within(lambda quality: row.encode(pixels, quality), 100, limit)
        assert len(data) <= limit
        sizes = [len(row.encode(pixels, quality)) for quality in range(101)]
        assert len(data) == max(size for size in sizes if size <= limit)
    assert len(largest_within(lambda quality: row.encode(pixels, quality), 100, 1)) == min(sizes)


def test_large_pictures_are_cropped_to_their_middle(photo):
    pixels = photo(900, 800)
    assert (middle(pixels) == pixels[16:784, 66:834]).all()
    assert middle(photo(20, 10)).shape == (10, 20, 3)


def test_comparison_has_the_known_numbers():
    rows = {row.name: row for row in plots.compare(example_results())}
    assert set(rows) == {"jpeg", "webp"}
    assert rows["jpeg"].of_mean["psnr_rgb"].percent == pytest.approx(-20, abs=0.2)
    assert rows["webp"].mean_of["ms_ssim"].percent == pytest.approx(60, abs=0.4)
    assert rows["webp"].mean_of["ms_ssim"].pictures == 2


def test_curves_without_overlap_are_reported():
    results = example_results()
    for key, point in results.points.items():
        if key[0] == "webp":
            point.metrics["psnr_rgb"] += 40
    row = next(row for row in plots.compare(results) if row.name == "webp")
    assert plots.percent(row.of_mean["psnr_rgb"]) == "no overlap"
    assert plots.overlap(row.of_mean["psnr_rgb"], "dB") == ""


def test_plots_are_reproducible():
    drawn = [plots.draw(example_results(), "psnr_rgb") for _ in range(2)]
    assert plots.png(drawn[0]) == plots.png(drawn[1])
    assert plots.svg(drawn[0], "a") == plots.svg(drawn[1], "a")


def render(pair) -> str:
    results = example_results()
    drawings = {
        metric: plots.svg(plots.draw(results, metric), metric) for metric in plots.metrics_of(results)
    }
    return page.render(results, plots.compare(results), drawings, [pair], notes=["chelsea: CC0 & free"])


def test_page_is_complete_and_needs_no_network(pair):
    text = render(pair)
    assert "20.0 % fewer bits than JPEG &lt;4:2:0&gt;" in text
    assert "chelsea: CC0 &amp; free" in text
    assert "a &amp; b" in text
    addresses = set(re.findall(r"(?:src|href)=\"([^\"]{0,12})", text))
    assert {address.split(":")[0] for address in addresses if not address.startswith("#")} == {"data"}
    carried = [base64.b64decode(data) for data in re.findall(r"data:image/jpeg;base64,([^\"]+)", text)]
    assert [len(data) for data in carried] == [versions[1].n_bytes for versions in pair.sizes]


def test_report_command_writes_page_and_plots(tmp_path, capsys):
    example_results().save(tmp_path / "r.json")
    assert main(["bench", "report", str(tmp_path / "r.json"), "-o", str(tmp_path / "out")]) == 0
    names = {f"rd_{metric}.{kind}" for metric in ("psnr_rgb", "psnr_y", "ms_ssim") for kind in ("png", "svg")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"report.html"}
    with Image.open(tmp_path / "out" / "rd_psnr_rgb.png") as picture:
        assert picture.width > 800


def test_published_curves_of_other_pictures_are_refused(tmp_path, capsys):
    example_results().save(tmp_path / "r.json")
    published = tmp_path / "p.json"
    published.write_text('{"data_set": "kodak", "rows": []}')
    arguments = ["bench", "report", str(tmp_path / "r.json"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--published", str(published)]) == 1
    assert "results are of others" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_readme_command_rewrites_only_the_block(tmp_path):
    (tmp_path / "results").mkdir()
    example_results().save(tmp_path / "results" / "rd.json")
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{START}\nold\n{END}\n\nrest\n")
    assert main(["bench", "readme", str(tmp_path / "results"), str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith(f"# Title\n\n{START}\n\n")
    assert text.endswith(f"\n\n{END}\n\nrest\n")
    block = read_block(text)
    assert block == measured(tmp_path / "results", "results")
    assert "| JPEG <4:2:0> | \N{MINUS SIGN}20.0 % |" in block
    assert "| WebP | +60.0 % |" in block
    assert main(["bench", "readme", str(tmp_path / "results"), str(readme)]) == 0
    assert readme.read_text() == text


def test_readme_command_writes_the_summary_too(tmp_path):
    (tmp_path / "results").mkdir()
    example_results().save(tmp_path / "results" / "rd.json")
    readme, page = tmp_path / "README.md", tmp_path / "docs.md"
    readme.write_text(f"above\n{SUMMARY_START}\nold\n{SUMMARY_END}\nbelow\n")
    page.write_text(f"{SUMMARY_START}{SUMMARY_END}{START}{END}")
    assert main(["bench", "readme", str(tmp_path / "results"), str(readme), str(page)]) == 0
    text = readme.read_text()
    assert text.startswith(f"above\n{SUMMARY_START}\n\nBD-rate on ")
    assert text.endswith(f"{SUMMARY_END}\nbelow\n")
    assert "\n- Bytes at equal PSNR RGB: +60.0 % against WebP.\n" in text
    assert "old" not in text
    assert "Bytes at equal" in page.read_text()
    assert read_block(page.read_text()) == measured(tmp_path / "results", "results")


def test_readme_without_markers_is_refused():
    with pytest.raises(BenchmarkError, match="add these two lines"):
        replace_block("# Title\n", "block")


@pytest.fixture
def browser():
    """Headless Chromium that records its console messages."""
    selenium = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install '.[dev]'")
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if None in programs.values():
        pytest.skip("needs Debian's chromium and chromium-driver: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = programs["chromium"]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1100,1400"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = selenium.ChromeService(programs["chromedriver"])
    driver = selenium.Chrome(options, service)
    yield driver
    driver.quit()


def test_page_works_in_a_browser(pair, tmp_path, browser):
    path = tmp_path / "report.html"
    path.write_text(render(pair), encoding="utf-8")
    browser.get(path.as_uri())
    broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)"
    assert browser.execute_script("return document.images.length") == 7
    assert browser.execute_script(broken) == []

    shown = "return [...document.images].filter(i => i.offsetWidth).map(i => i.dataset.codec)"
    clip = "return getComputedStyle(document.querySelector('.left:not([hidden])')).clipPath"
    assert browser.execute_script(shown) == ["jpeg", "vaezip"]
    before = browser.execute_script(clip)
    slider = browser.find_element("css selector", ".stage input")
    slider.send_keys("\ue014" * 20)  # right arrow
    assert browser.execute_script("return document.querySelector('.stage input').value") == "60"
    assert browser.execute_script(clip) != before

    browser.find_element("css selector", "input[data-rival][value=webp]").click()
    browser.find_elements("css selector", "input[data-size]")[1].click()
    assert browser.execute_script(shown) == ["webp", "vaezip"]
    tag = browser.find_element("css selector", ".tag.two").text
    assert tag == pair.sizes[1][2].words
    browser.find_element("css selector", "input[data-rival][value=original]").click()
    assert browser.execute_script(shown) == ["original", "vaezip"]

    fetched = (
        "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))"
    )
    assert browser.execute_script(fetched) == []
    assert [entry["message"] for entry in browser.get_log("browser")] == []
