"""Draw curve.png, or OUT.png: crops seen against BD-rate on Kodak, for each run of runs.csv.

python -m benchmarks.training.curve [OUT.png]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent


def main(out: Path) -> None:
    """Read runs.csv and draw."""
    with (HERE / "runs.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for peer in ("jpeg", "webp", "avif"):
        points = sorted((float(r["gpx_in_all"]), float(r[f"bd_rate_{peer}"])) for r in rows)
        axes.plot(*zip(*points, strict=True), marker="o", label=f"against {peer.upper()}")
    for row in rows:
        axes.axvline(float(row["gpx_in_all"]), color="0.9", zorder=0)
        axes.text(
            float(row["gpx_in_all"]), 0.02, row["model"], rotation=90, transform=axes.get_xaxis_transform()
        )
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="crops seen, 10^9 pixels", ylabel="BD-rate on Kodak, PSNR RGB, %")
    axes.legend()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "curve.png")
