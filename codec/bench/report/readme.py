"""The measured part of README, written from results so that the two cannot drift apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codec.bench.curves import METRIC_LABELS
from codec.bench.report.tables import OURS, Row, compare, metrics_of, overlap, percent
from codec.bench.results import Results, load_results
from codec.data.fetch import DATA_SETS
from codec.errors import BenchmarkError

START, END = "<!-- measured: start, written by `vaezip bench readme` -->", "<!-- measured: end -->"
# In the folder of results that README speaks of.
RESULTS, SPEED, PICTURE, PAGE = "rd.json", "speed.json", "rd_psnr_rgb.png", "report.html"


def measured(folder: Path, shown_as: str) -> str:
    """Return the text between the markers for a folder of results; `shown_as` is how README links to it.

    Raises OSError, BenchmarkError.
    """
    results = load_results(folder / RESULTS)
    rows = compare(results)
    if OURS not in results.codecs or not rows:
        raise BenchmarkError(
            f"{folder / RESULTS}: needs points of vaezip and of another codec; run them first"
        )
    pictures = known_set(results) or f"{len(results.pictures)} pictures"
    intro = (
        f"Bits that vaezip needs beside other codecs at equal quality, on {pictures}, whole files; "
        "negative means fewer. BD-rate of the mean curves by metric, the range of PSNR that it holds for "
        "(with its share of all that either codec reaches), and the mean of the pictures' own BD-rates:"
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
    """What the pictures are called where they are exactly those of a known data set, else nothing."""
    for name, data_set in DATA_SETS.items():
        sha256 = set(data_set.sha256().values())
        if set(results.pictures) == sha256:
            return f"the {len(sha256)} pictures of {name.capitalize()}"
    return ""


def _table(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    names = [METRIC_LABELS[metric][0] for metric in metrics]
    head = ["against", *names, "PSNR RGB from, to", "PSNR RGB, mean of pictures"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [row.label, *(percent(row.of_mean.get(metric)) for metric in metrics)]
        cells += [overlap(row.of_mean.get("psnr_rgb"), "dB"), percent(row.mean_of.get("psnr_rgb"))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def speed(stored: dict[str, Any]) -> list[str]:
    """Return paragraphs and a table of throughput from the summary that the speed benchmarks write."""
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
        f"{stored['picture']} ({machine['cpu']}, {machine['cores']} cores); what counts is the ratio within "
        "one run:"
    )
    return [intro, "\n".join(lines)]


def replace_block(text: str, block: str) -> str:
    """Return README's text with the part between the markers replaced. Raises BenchmarkError without them."""
    return replace_between(text, START, END, block)


def replace_between(text: str, start: str, end: str, block: str) -> str:
    """Return README's text with the part between two lines replaced. Raises BenchmarkError without them."""
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise BenchmarkError(f"README has no part between '{start}' and '{end}'; add these two lines")
    return f"{before}{start}\n\n{block}\n\n{end}{after}"


def read_block(text: str) -> str:
    """Return the part between the markers, without the blank lines around it."""
    _, _, rest = text.partition(START)
    return rest.partition(END)[0].strip("\n")
