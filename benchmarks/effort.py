"""Measure efforts: time, and BD-rates against effort 0, WebP and AVIF (PSNR RGB, SSIMULACRA2; whole files).

    python -m benchmarks.effort DIR_OF_PICTURES OUT_DIR PAGE [--efforts 0,1,5] [--tune visual] [--part 0/2]

Appends each encoding to OUT_DIR/effort.csv and skips those that exist, so that it can be interrupted and run
again, and several processes can run side by side, each with its own part of the pictures. Then writes
OUT_DIR/effort.json and effort.svg, and the tables of PAGE, which is docs/guide/size-and-effort.md: each
effort over the pictures that have all qualities, and its anchors over the same pictures. Pictures are encoded
on one thread without a time limit, so that other work on the machine changes no file; seconds are CPU
seconds. --iterations replaces the number of iterations of the highest effort. WebP and AVIF are read from
rd.json beside OUT_DIR. Needs vaezip[bench] and vaezip[torch].
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np

import codec
from codec.bench.codecs import read_pixels
from codec.bench.curves import bd_rate, rising
from codec.bench.metrics import measure as measured
from codec.bench.plots import svg
from codec.bench.readme import replace_between
from codec.encode import options as levels
from codec.encode.options import TUNES
from codec.model.index import default_model_id

QUALITIES = (25, 45, 65, 85)
CLASSICAL = ("webp", "avif")
METRICS = ("psnr_rgb", "ssimulacra2")
COLUMNS = ("model", "effort", "tune", "iterations", "picture", "quality", "bytes", "bpp", *METRICS, "seconds")
UNLIMITED = 1e9
PICTURES = "effort 0, mean of pictures"
LABELS = {"effort 0": "`-e 0`", PICTURES: "`-e 0` (mean of pictures)", "webp": "WebP", "avif": "AVIF"}
START, END = "<!-- efforts: start, written by benchmarks/effort.py -->", "<!-- efforts: end -->"
Row: TypeAlias = dict[str, str]
Curve: TypeAlias = list[tuple[float, float]]


def main() -> None:
    """Encode what is missing, then compare."""
    arguments = parsed()
    if arguments.iterations:
        last = levels.LEVELS[-1]._replace(iterations=arguments.iterations)
        levels.LEVELS = (*levels.LEVELS[:-1], last)
    paths = sorted(p for p in arguments.folder.iterdir() if p.suffix == ".png")
    log = arguments.out / "effort.csv"
    part, parts = arguments.part
    for effort in arguments.efforts:
        measure(paths[part::parts], effort, arguments.tune, log)
    record = compared(read(log), arguments.out.parent / "rd.json")
    (arguments.out / "effort.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(record, arguments.out / "effort.svg")
    text = arguments.page.read_text(encoding="utf-8")
    arguments.page.write_text(replace_between(text, START, END, table(record)), encoding="utf-8")


def parsed() -> argparse.Namespace:
    """Parse the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--efforts", type=numbers, default=[0, 1, 2, 3, 4, 5])
    parser.add_argument("--tune", choices=TUNES, default=TUNES[0])
    parser.add_argument("--part", type=lambda t: [int(n) for n in t.split("/")], default=[0, 1])
    parser.add_argument("--iterations", type=int, default=None)
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    """Parse comma-separated numbers."""
    return [int(number) for number in text.split(",") if number]


def read(log: Path) -> list[Row]:
    """Return the rows of the present model."""
    if not log.exists():
        return []
    with log.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["model"] == default_model_id().hex()]


def measure(paths: list[Path], effort: int, tune: str, log: Path) -> None:
    """Encode pictures at every quality and append a row for each."""
    iterations = str(levels.LEVELS[effort].iterations)
    done = {
        (row["picture"], row["quality"])
        for row in read(log)
        if (row["effort"], row["tune"], row["iterations"]) == (str(effort), tune, iterations)
    }
    decoder = codec.Decoder(threads=1)
    for path in paths:
        x = read_pixels(path)
        for quality in QUALITIES:
            if (path.name, str(quality)) in done:
                continue
            encoder = codec.Encoder(quality, threads=1, effort=effort, tune=tune, seconds=UNLIMITED)
            began = time.process_time()
            data = encoder.encode(x)
            seconds = time.process_time() - began
            values = measured(x, np.asarray(decoder.decode(data)), METRICS).values()
            bpp = 8 * len(data) / x[..., 0].size
            facts = (default_model_id().hex(), effort, tune, iterations, path.name, quality)
            told = [f"{value:.4f}" for value in values]
            add(log, (*facts, len(data), f"{bpp:.5f}", *told, f"{seconds:.2f}"))


def add(log: Path, row: tuple[object, ...]) -> None:
    """Append a row."""
    log.parent.mkdir(parents=True, exist_ok=True)
    new = not log.exists()
    with log.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerow(row)


def mean_curve(points: Iterator[tuple[float, float, float]]) -> Curve:
    """Return mean bpp and PSNR at each quality, from quality, bpp and PSNR of every picture."""
    by_quality: dict[float, list[tuple[float, float]]] = {}
    for quality, bpp, value in points:
        by_quality.setdefault(quality, []).append((bpp, value))
    return [tuple(np.mean(part, 0).round(5).tolist()) for _, part in sorted(by_quality.items())]


def compared(rows: list[Row], results: Path) -> dict[str, Any]:
    """Return curves, time and BD-rates of each effort, over the pictures measured at all its qualities."""
    groups: dict[tuple[str, int, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["tune"], int(row["effort"]), int(row["iterations"])), []).append(row)
    plain = groups[TUNES[0], 0, 0]
    others = json.loads(results.read_text()) if results.exists() else None
    efforts = []
    for (tune, effort, iterations), part in sorted(groups.items()):
        qualities = collections.Counter(row["picture"] for row in part)
        pictures = {name for name, count in qualities.items() if count == len(QUALITIES)}
        if not pictures:
            continue
        curves = {metric: curve_of(part, pictures, metric) for metric in METRICS}
        seconds = [float(row["seconds"]) for row in part if row["picture"] in pictures]
        efforts.append(
            {
                "effort": effort,
                "tune": tune,
                "iterations": iterations,
                "pictures": len(pictures),
                "seconds": round(statistics.median(seconds), 2),
                "bd_rate": {
                    metric: {
                        "effort 0": rate(curve_of(plain, pictures, metric), curve),
                        PICTURES: mean_rate(plain, part, pictures, metric),
                        **{k: rate(v, curve) for k, v in classical(others, pictures, metric).items()},
                    }
                    for metric, curve in curves.items()
                },
                "curves": curves,
            }
        )
    return {"model": default_model_id().hex(), "qualities": QUALITIES, "efforts": efforts}


def curve_of(rows: list[Row], pictures: set[str], metric: str) -> Curve:
    """Return the mean curve of some pictures."""
    chosen = [row for row in rows if row["picture"] in pictures]
    return mean_curve((float(row["quality"]), float(row["bpp"]), float(row[metric])) for row in chosen)


def classical(record: dict[str, Any] | None, pictures: set[str], metric: str) -> dict[str, Curve]:
    """Return mean curves of the classical codecs from the results of `vaezip bench rd`, if they exist."""
    if record is None:
        return {}
    size = {picture["name"]: picture["width"] * picture["height"] for picture in record["pictures"]}
    return {
        name: mean_curve(
            (p["quality"], 8 * p["bytes"] / size[p["picture"]], p[metric])
            for p in record["points"]
            if p["codec"] == name and p["picture"] in pictures and p.get(metric) is not None
        )
        for name in CLASSICAL
        if name in record["codecs"]
    }


def rate(anchor: Curve, test: Curve) -> float | None:
    """Return the BD-rate of two curves in percent."""
    percent = bd_rate(*(rising(*map(list, zip(*curve, strict=True))) for curve in (anchor, test))).percent
    return None if percent is None else round(percent, 2)


def mean_rate(anchor: list[Row], test: list[Row], pictures: set[str], metric: str) -> float:
    """Return the mean of the BD-rates of single pictures in percent."""
    rates = [rate(*(curve_of(rows, {name}, metric) for rows in (anchor, test))) for name in sorted(pictures)]
    return round(statistics.mean(value for value in rates if value is not None), 2)


def draw(record: dict[str, Any], path: Path) -> None:
    """Plot time against BD-rate."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for tune, metric in zip(TUNES, METRICS, strict=True):
        points = [
            (row["seconds"], row["bd_rate"][metric]["effort 0"], row["effort"])
            for row in record["efforts"]
            if row["tune"] == tune
        ]
        axes.semilogx([p[0] for p in points], [p[1] for p in points], "o-", label=f"--tune {tune}, {metric}")
        for seconds, percent, effort in points:
            axes.annotate(str(effort), (seconds, percent), (3, 4), textcoords="offset points")
    axes.legend()
    axes.set_xlabel("processor seconds a picture")
    axes.set_ylabel("BD-rate against effort 0, %")
    axes.grid(alpha=0.3)
    path.write_text(svg(figure, "effort"), encoding="utf-8")
    plt.close(figure)


def table(record: dict[str, Any]) -> str:
    """Return two Markdown tables: the time of each effort, and its BD-rates by metric."""
    cost = ["| options | iterations | pictures | CPU seconds |", "|---|---|---|---|"]
    heads = [
        "options",
        *(f"{metric}, {name}" for metric in ("PSNR", "SSIMULACRA2") for name in LABELS.values()),
    ]
    rates = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in record["efforts"]:
        tune = "" if row["tune"] == TUNES[0] else f" --tune {row['tune']}"
        # The highest effort was measured again with another number of iterations.
        repeated = row["effort"] == levels.MAX_EFFORT
        options = f"`-e {row['effort']}{tune}`" + (f", {row['iterations']} iterations" if repeated else "")
        cost.append(f"| {options} | {row['iterations'] or ''} | {row['pictures']} | {row['seconds']} |")
        cells = (row["bd_rate"][metric].get(name) for metric in METRICS for name in LABELS)
        shown = ("" if value is None else f"{value:+.1f} %" for value in cells)
        rates.append(f"| {options} | {' | '.join(shown)} |")
    return "\n".join([*cost, "", *rates])


if __name__ == "__main__":
    main()
