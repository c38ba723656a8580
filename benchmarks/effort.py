#!/usr/bin/env python3
"""Effort against time and size: BD-rate against effort 0, WebP and AVIF.

    python benchmarks/effort.py DIR_OF_PICTURES OUT_DIR [--efforts 0,1,3,5] [--images N] [--budget SECONDS]

Writes OUT_DIR/effort.json and effort.svg, and prints a table. Encoding runs with two threads; times are
medians over pictures of wall and of processor seconds. An earlier effort.json of the same weights is added
to: efforts that are measured again replace their rows. Needs vaezip[bench].
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

import codec
from codec.bench.codecs import find_codec, read_pixels
from codec.bench.curves import bd_rate, rising
from codec.bench.metrics import psnr_rgb
from codec.model.index import default_model_id

QUALITIES = (25.0, 45.0, 65.0, 85.0)
CLASSICAL = ("webp", "avif")
THREADS = 2


def main() -> None:
    """Measure what is asked for."""
    arguments = parsed()
    paths = sorted(p for p in arguments.folder.iterdir() if p.suffix == ".png")[: arguments.images]
    pictures = [read_pixels(path) for path in paths]
    target = arguments.out / "effort.json"
    model = default_model_id().hex()
    record = json.loads(target.read_text()) if target.exists() else {}
    if record.get("model") != model:
        record = {"model": model, "qualities": QUALITIES, "threads": THREADS, "efforts": {}}
    efforts = sorted({0, *arguments.efforts})
    for effort in efforts:
        key = {"pictures": len(pictures), "budget_s": arguments.budget}
        record["efforts"][str(effort)] = key | measured(pictures, effort, arguments.budget)
        print(
            f"effort {effort}: {record['efforts'][str(effort)]['cpu_seconds']} s of processor time",
            flush=True,
        )
    record["classical"] = {name: classical(pictures, name) for name in CLASSICAL}
    compare(record)
    arguments.out.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=1) + "\n")
    draw(record, arguments.out / "effort.svg")
    print(table(record))


def parsed() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--efforts", type=lambda t: [int(e) for e in t.split(",")], default=[0, 1, 2, 3, 4, 5]
    )
    parser.add_argument("--images", type=int, default=None, help="only so many pictures")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds a picture for efforts from 6 on")
    return parser.parse_args()


def points(pictures: list[Any], **options: Any) -> list[dict[str, Any]]:
    """Encode every picture at every quality: bits per pixel, PSNR, seconds."""
    decoder = codec.Decoder(threads=THREADS)
    rows = []
    for quality in QUALITIES:
        encoder = codec.Encoder(quality, threads=THREADS, **options)
        for index, x in enumerate(pictures):
            wall, cpu = time.perf_counter(), time.process_time()
            data = encoder.encode(x)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            x_hat = np.asarray(decoder.decode(data))
            row = {"picture": index, "quality": quality, "bpp": 8 * len(data) / x[..., 0].size}
            row |= {"psnr": psnr_rgb(x, x_hat), "wall": wall, "cpu": cpu}
            rows.append(row)
    return rows


def mean_curve(rows: list[dict[str, Any]], metric: str) -> list[tuple[float, float]]:
    """Mean bpp and metric at each quality."""
    qualities = sorted({row["quality"] for row in rows})
    chosen = [[row for row in rows if row["quality"] == quality] for quality in qualities]
    return [
        (
            round(float(np.mean([r["bpp"] for r in part])), 5),
            round(float(np.mean([r[metric] for r in part])), 4),
        )
        for part in chosen
    ]


def measured(pictures: list[Any], effort: int, budget: float) -> dict[str, Any]:
    """Curve, curves of single pictures, and times of one effort."""
    codec.Encoder(50, effort=min(effort, 4)).encode(pictures[0][:64, :64])
    rows = points(pictures, effort=effort, seconds=budget)
    singles = [mean_curve([r for r in rows if r["picture"] == i], "psnr") for i in range(len(pictures))]
    return {
        "curve": mean_curve(rows, "psnr"),
        "singles": singles,
        "wall_seconds": round(statistics.median(row["wall"] for row in rows), 3),
        "cpu_seconds": round(statistics.median(row["cpu"] for row in rows), 3),
    }


def classical(pictures: list[Any], name: str) -> list[list[tuple[float, float]]]:
    """Curves of single pictures by a codec of `vaezip bench rd`."""
    row = find_codec(name)
    curves = []
    for x in pictures:
        files = [row.encode(x, quality) for quality in row.qualities]
        curves.append([(8 * len(data) / x[..., 0].size, psnr_rgb(x, row.decode(data))) for data in files])
    return curves


def rate(anchor: Any, test: Any) -> float | None:
    """BD-rate of two curves in percent."""
    percent = bd_rate(*(rising(*map(list, zip(*curve, strict=True))) for curve in (anchor, test))).percent
    return None if percent is None else round(percent, 2)


def mean_of(curves: list[list[tuple[float, float]]], count: int) -> list[tuple[float, float]]:
    """Mean of the curves of the first pictures, point by point."""
    return [tuple(np.mean([curve[i] for curve in curves[:count]], 0)) for i in range(len(curves[0]))]


def compare(record: dict[str, Any]) -> None:
    """Add BD-rates to every effort, against effort 0 on the same pictures, and to WebP and AVIF."""
    base = record["efforts"]["0"]
    for row in record["efforts"].values():
        count = min(row["pictures"], base["pictures"])
        ours = mean_of(row["singles"], count)
        row["bd_rate"] = {"effort 0": rate(mean_of(base["singles"], count), ours)}
        for name, curves in record["classical"].items():
            if len(curves) >= count:
                row["bd_rate"][name] = rate(mean_of(curves, count), ours)


def draw(record: dict[str, Any], path: Path) -> None:
    """Plot time against BD-rate."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    rows = sorted((int(effort), row) for effort, row in record["efforts"].items())
    axes.semilogx([r["cpu_seconds"] for _, r in rows], [r["bd_rate"]["effort 0"] or 0 for _, r in rows], "o-")
    for effort, row in rows:
        axes.annotate(
            str(effort),
            (row["cpu_seconds"], row["bd_rate"]["effort 0"] or 0),
            (3, 4),
            textcoords="offset points",
        )
    axes.set_xlabel("processor seconds a picture")
    axes.set_ylabel("BD-rate against effort 0, %")
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def table(record: dict[str, Any]) -> str:
    """Return the results as a table of Markdown."""
    lines = ["| effort | s | s, processor | vs effort 0 | vs WebP | vs AVIF | pictures |", "|" + "---|" * 7]
    for effort, row in sorted(record["efforts"].items(), key=lambda item: int(item[0])):
        rates = (row["bd_rate"].get(name) for name in ("effort 0", "webp", "avif"))
        told = " | ".join("" if value is None else f"{value:+.1f} %" for value in rates)
        lines.append(
            f"| {effort} | {row['wall_seconds']} | {row['cpu_seconds']} | {told} | {row['pictures']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
