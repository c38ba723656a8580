"""Summarise the timings of test_speed.py as throughputs and ratios for the table of docs/benchmarks.md.

python -m benchmarks.summarise_speed TIMINGS OUT
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codec.bench.results import machine, versions

LABELS = {
    "vaezip": "vaezip",
    "bmshj2018-hyperprior": "CompressAI bmshj2018-hyperprior, untrained",
    "mbt2018-mean": "CompressAI mbt2018-mean, untrained",
    "jpeg": "JPEG, Pillow, 1 thread",
    "webp": "WebP method 6, Pillow, 1 thread",
    "avif": "AVIF speed 6, Pillow, 1 thread",
}


def summarise(timings: dict[str, Any]) -> dict[str, Any]:
    """Return median throughputs for every size and number of threads, and the other timings."""
    rows = [bench["extra_info"] | {"median_s": bench["stats"]["median"]} for bench in timings["benchmarks"]]
    throughput: dict[tuple[str, int, str], dict[str, float]] = {}
    for row in rows:
        if "mpx" in row:
            key = row["size"], row["threads"], row["name"]
            throughput.setdefault(key, {})[f"{row['way']}_mpx_s"] = round(row["mpx"] / row["median_s"], 4)
    return {
        "machine": machine(),
        "versions": versions(),
        "picture": "one picture of 768x512",
        "threads": 2,
        "rows": list(compare(throughput, "kodak", 2)),
        "throughput": [
            {"size": size, "threads": threads, "name": name} | found
            for (size, threads, name), found in throughput.items()
        ],
        "entropy_coder": {
            row["way"]: {
                "symbols_per_s": round(row["symbols"] / row["median_s"]),
                "coded_symbols_per_s": round(row["coded"] / row["median_s"]),
            }
            for row in rows
            if "symbols" in row
        },
        "commands": [
            {
                "command": row["command"],
                "size": row["size"],
                "seconds": round(row["median_s"], 3),
                "peak_mib": round(row["peak_bytes"] / 2**20),
            }
            for row in rows
            if "command" in row
        ],
    }


def compare(
    throughput: dict[tuple[str, int, str], dict[str, float]], size: str, threads: int
) -> Iterator[dict[str, Any]]:
    """Yield each codec's throughput and its ratio to vaezip's; Pillow's codecs have one thread only."""
    ours = throughput[size, threads, "vaezip"]
    for name, label in LABELS.items():
        found = throughput.get((size, threads, name)) or throughput.get((size, 1, name))
        if found is None:
            continue
        ratios = {
            f"{way}_ratio": round(found[f"{way}_mpx_s"] / ours[f"{way}_mpx_s"], 4)
            for way in ("encode", "decode")
        }
        yield {"name": name, "label": label} | found | ratios


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    stored = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps(summarise(stored), indent=1) + "\n", encoding="utf-8")
