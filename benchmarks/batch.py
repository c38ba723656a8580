"""Measure how well a batch of 2,000 small pictures uses two cores.

    python -m benchmarks.batch [OUT.json]

Compares `vaezip batch -j 2` over all pictures with two independent processes that run at the same time, each
`vaezip compress --threads 1` over one half: their summed throughput is the most that two cores can reach.
Everything is timed from outside, including the start of processes and of the backend, alternately, three
times. The pictures are different crops of the test photo, 128x96. Prints one JSON object and writes it to
OUT.json.
"""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import ROOT, read_photo, usual
from codec.bench.results import machine, versions

N_PICTURES = usual(2000, small=4)
ROUNDS = usual(3, small=1)
SIZE = (128, 96)


def make(folder: Path) -> None:
    """Write the pictures, in two halves."""
    photo = read_photo()
    width, height = SIZE
    for number in range(N_PICTURES):
        left, top = number % (photo.width - width), number * 7 % (photo.height - height)
        path = folder / f"half{number % 2}" / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.crop((left, top, left + width, top + height)).save(path)


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start a command of the package."""
    return subprocess.Popen([sys.executable, "-m", "codec", *map(str, arguments), "-Q"], cwd=ROOT)


def finish(processes: list[subprocess.Popen[bytes]], started: float) -> list[float]:
    """Wait for all processes; return the seconds that each took."""
    took: dict[int, float] = {}
    while len(took) < len(processes):
        for process in processes:
            if process.pid not in took and process.poll() is not None:
                if process.returncode:
                    raise SystemExit(f"exit code {process.returncode}")
                took[process.pid] = time.perf_counter() - started
        time.sleep(0.01)
    return [took[process.pid] for process in processes]


def cpu_seconds() -> float:
    """Return the CPU time of all child processes that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(folder: Path, *, together: bool) -> tuple[float, float]:
    """Return pictures per second, of the batch or summed over two processes, and the total CPU seconds."""
    out = folder.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    before = cpu_seconds()
    started = time.perf_counter()
    if together:
        (seconds,) = finish([start("batch", folder, "-o", out, "-j", "2")], started)
        rate = N_PICTURES / seconds
    else:
        halves = [
            start("compress", folder / half, "-o", out / half, "--threads", "1")
            for half in ("half0", "half1")
        ]
        rate = sum(N_PICTURES / 2 / seconds for seconds in finish(halves, started))
    written = sum(1 for _ in out.rglob("*.vae"))
    if written != N_PICTURES:
        raise SystemExit(f"{written} files of {N_PICTURES}")
    return rate, cpu_seconds() - before


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pictures"
        make(folder)
        pairs = [(measure(folder, together=False), measure(folder, together=True)) for _ in range(ROUNDS)]
    ratios = [batch[0] / apart[0] for apart, batch in pairs]
    record = {
        "pictures": N_PICTURES,
        "size": list(SIZE),
        "processes": 2,
        "two_single_processes_per_second": [round(apart[0], 2) for apart, _ in pairs],
        "batch_per_second": [round(batch[0], 2) for _, batch in pairs],
        "two_single_processes_cpu_seconds": [round(apart[1], 1) for apart, _ in pairs],
        "batch_cpu_seconds": [round(batch[1], 1) for _, batch in pairs],
        "ratios": [round(ratio, 4) for ratio in ratios],
        "ratio": round(statistics.median(ratios), 4),
        "machine": machine(),
        "versions": versions(),
    }
    text = json.dumps(record, indent=1)
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
