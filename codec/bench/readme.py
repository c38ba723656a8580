"""Write results as Markdown: tables for the documentation and a summary for README."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codec.bench.curves import METRIC_LABELS
from codec.bench.plots import OURS, Row, compare, metrics_of, overlap, percent
from codec.bench.results import Results, load_results
from codec.datasets import DATA_SETS
from codec.errors import BenchmarkError

START, END = "<!-- measured: start, written by `vaezip bench readme` -->", "<!-- measured: end -->"
SUMMARY_START, SUMMARY_END = (
    "<!-- summary: start, written by `vaezip bench readme` -->",
    "<!-- summary: end -->",
)
# Codecs in the summary, if they have points.
SUMMARY_CODECS = ("webp", "avif", "jxl")
# Files in a folder of results.
RESULTS, SPEED, PICTURE, PAGE = "rd.json", "speed.json", "rd_psnr_rgb.png", "report.html"


def write_blocks(text: str, folder: Path, shown_as: str) -> str:
    """Return the text of a Markdown file with its tables, its summary or both replaced.

    shown_as: path of the folder of results in links. Raises OSError, and BenchmarkError if the text has no
    markers.
    """
    if SUMMARY_START in text:
        text = replace_between(text, SUMMARY_START, SUMMARY_END, summary(folder))
        if START not in text:
            return text
    return replace_block(text, measured(folder, shown_as))


def compared(folder: Path) -> tuple[Results, list[Row]]:
    """Return the results of a folder and their comparison. Raises OSError, BenchmarkError."""
    results = load_results(folder / RESULTS)
    rows = compare(results)
    if OURS not in results.codecs or not rows:
        raise BenchmarkError(
            f"{folder / RESULTS}: points of vaezip and of another codec are needed; run them first"
        )
    return results, rows


def summary(folder: Path) -> str:
    """Return a list of the main results: BD-rates by PSNR and by SSIMULACRA2, and speed.

    Raises OSError, BenchmarkError.
    """
    results, rows = compared(folder)
    pictures = known_set(results) or f"{len(results.pictures)} pictures"
    lines = []
    for metric, remark in (("psnr_rgb", ""), ("ssimulacra2", ", a perceptual metric")):
        rates = [
            f"{percent(row.of_mean[metric])} against {row.label}"
            for row in rows
            if row.name in SUMMARY_CODECS and metric in row.of_mean
        ]
        if rates:
            lines.append(f"- Bytes at equal {METRIC_LABELS[metric][0]}{remark}: {', '.join(rates)}.")
    if (folder / SPEED).exists():
        lines.append(_speed_line(json.loads((folder / SPEED).read_text(encoding="utf-8"))))
    return f"BD-rate on {pictures}; negative means that vaezip needs fewer bytes.\n\n" + "\n".join(lines)


def _speed_line(stored: dict[str, Any]) -> str:
    rows = {row["name"]: row for row in stored["rows"]}
    ours = rows[OURS]
    others = [
        f"{row['label']} {row['encode_ratio']:.2g}x and {row['decode_ratio']:.2g}x"
        for name, row in rows.items()
        if name in SUMMARY_CODECS
    ]
    return (
        f"- Speed on {stored['threads']} CPU threads: {ours['encode_mpx_s']:.1f} megapixels per second to "
        f"encode, {ours['decode_mpx_s']:.1f} to decode. As multiples of these: {'; '.join(others)}."
    )


def measured(folder: Path, shown_as: str) -> str:
    """Return the full tables for a folder of results. Raises OSError, BenchmarkError.

    shown_as: path of the folder in links.
    """
    results, rows = compared(folder)
    pictures = known_set(results) or f"{len(results.pictures)} pictures"
    intro = (
        f"BD-rate of vaezip against other codecs on {pictures}, counting whole files; negative means that "
        "vaezip needs fewer bytes at equal quality. The columns give the BD-rate of the mean curves for each "
        "metric, the PSNR range that both codecs cover (and its share of the range that either covers), and "
        "the mean of the BD-rates of the single pictures:"
    )
    links = (
        f"Made with {results.codecs[OURS].version}. All points, versions and settings are in "
        f"[`{RESULTS}`]({shown_as}/{RESULTS}). [`{PAGE}`]({shown_as}/{PAGE}) shows curves, tables and "
        "pictures side by side: download it and open it in a browser."
    )
    picture = f"![Rate against PSNR]({shown_as}/{PICTURE})"
    parts = [intro, _table(rows, metrics_of(results)), picture, links]
    if (folder / SPEED).exists():
        parts[3:3] = speed(json.loads((folder / SPEED).read_text(encoding="utf-8")))
    return "\n\n".join(parts)


def known_set(results: Results) -> str:
    """Return a name for the pictures if they are exactly those of a known data set, else an empty string."""
    for name, data_set in DATA_SETS.items():
        sha256 = set(data_set.sha256().values())
        if set(results.pictures) == sha256:
            return f"the {len(sha256)} pictures of {name.capitalize()}"
    return ""


def _table(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    names = [METRIC_LABELS[metric][0] for metric in metrics]
    head = ["against", *names, "PSNR RGB range", "PSNR RGB, mean of pictures"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [row.label, *(percent(row.of_mean.get(metric)) for metric in metrics)]
        cells += [overlap(row.of_mean.get("psnr_rgb"), "dB"), percent(row.mean_of.get("psnr_rgb"))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def speed(stored: dict[str, Any]) -> list[str]:
    """Return a paragraph and a table of throughput. stored: content of speed.json."""
    lines = ["| codec | encode | decode | beside vaezip |", "|---|---|---|---|"]
    for row in stored["rows"]:
        ratio = f"{row['encode_ratio']:.2g}x and {row['decode_ratio']:.2g}x as fast"
        lines.append(
            f"| {row['label']} | {row['encode_mpx_s']:.2f} | {row['decode_mpx_s']:.2f} | "
            f"{'' if row['name'] == OURS else ratio} |"
        )
    machine = stored["machine"]
    intro = (
        f"Speed in megapixels per second with a loaded codec, {stored['threads']} threads, on "
        f"{stored['picture']} ({machine['cpu']}, {machine['cores']} cores). All codecs ran in one session; "
        "compare ratios rather than absolute speeds:"
    )
    return [intro, "\n".join(lines)]


def replace_block(text: str, block: str) -> str:
    """Return a text with the part between START and END replaced. Raises BenchmarkError without them."""
    return replace_between(text, START, END, block)


def replace_between(text: str, start: str, end: str, block: str) -> str:
    """Return a text with the part between two lines replaced. Raises BenchmarkError without them."""
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise BenchmarkError(f"the file has no part between '{start}' and '{end}'; add these two lines")
    return f"{before}{start}\n\n{block}\n\n{end}{after}"


def read_block(text: str) -> str:
    """Return the part between the markers, without the blank lines around it."""
    _, _, rest = text.partition(START)
    return rest.partition(END)[0].strip("\n")
