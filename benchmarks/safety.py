"""Write the table of docs/security.md from recorded results, and measure how fast a bomb is refused.

    python tests/fuzz/run.py --out FOLDER/fuzz.json
    python tests/fuzz/guided.py --out FOLDER/guided.json
    python tests/planted_defects/run.py --out FOLDER/seeded.json
    python tests/exactness/matrix.py > FOLDER/matrix.json
    python tests/exactness/versions.py OTHER_PYTHON... > FOLDER/versions.txt
    python tests/exactness/processors.py qemu-aarch64 -L ROOT ROOT/usr/bin/python3.11 > FOLDER/aarch64.json
    python tests/exactness/byte_order.py qemu-s390x -L ROOT ROOT/usr/bin/python3.11 > FOLDER/byte_order.json
    VAEZIP_BACKEND=onnx python tests/exactness/other_runtime.py > FOLDER/openvino.json
    VAEZIP_BACKEND=onnx python -m benchmarks.resources > FOLDER/resources.json
    VAEZIP_BACKEND=torch python -m benchmarks.resources > FOLDER/resources_torch.json
    python -m benchmarks.safety FOLDER docs/security.md

FOLDER is benchmarks/results/<version>/safety. A bomb is a header that declares a huge picture; it
is measured only if FOLDER/bomb.json does not exist.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, usual
from codec.bench.readme import replace_between

START, END = "<!-- safety: start, written by `benchmarks/safety.py` -->", "<!-- safety: end -->"
CHEAP = ("header", "container", "metadata", "frames")
# Print the CPU time of refusing a 42-byte header of 65,535 x 65,535 pixels, and of the whole process.
PROGRAM = """
import time, codec
from codec.bitstream.header import Header
data = Header(65_535, 65_535, 0, bytes(4)).pack() + bytes(12)
began = time.process_time()
try:
    codec.info(data)
except codec.LimitExceeded:
    print(time.process_time() - began, time.process_time(), len(data))
"""


def bomb() -> dict[str, float]:
    """Time the refusal in several new processes; return medians in milliseconds."""
    rows = []
    for _ in range(usual(9, small=1)):
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, cwd=ROOT)
        rows.append([float(part) for part in done.stdout.split()])
    refusal, process, n_bytes = (statistics.median(column) for column in zip(*rows, strict=True))
    return {"refusal_ms": 1e3 * refusal, "process_ms": 1e3 * process, "bytes": n_bytes}


def recorded(path: Path, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Return a record; measure and write it if the file does not exist."""
    if not path.exists():
        path.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def fuzz_rows(targets: dict[str, dict[str, int]]) -> list[str]:
    """Return the table rows of mutated inputs, header-level and full."""
    rows = []
    for label, chosen in (("header-level", True), ("full", False)):
        found = {n: t for n, t in targets.items() if (n in CHEAP) == chosen}
        done = {n: t for n, t in found.items() if "failed" not in t}
        inputs = sum(t["inputs"] for t in done.values())
        if found:
            most = max((t["grown_mib"] for t in done.values()), default=0)
            rows.append(
                f"| mutated inputs, {label} ({', '.join(found)}) | {inputs:,}, "
                f"{len(found) - len(done)} failures; memory grew by at most {most} MiB |"
            )
    return rows


def guided_row(versions: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return the table row of coverage-guided inputs, over all versions of the sources."""
    runs = [pair for targets in versions.values() for pair in targets.items()]
    clock: Counter[str] = Counter()
    processor: Counter[str] = Counter()
    # Some runs recorded only wall-clock time, some also CPU time.
    for name, run in runs:
        clock[name] += run.get("seconds", run.get("cpu_seconds"))
        processor[name] += run.get("cpu_seconds", 0)
    failed = sum("failed" in run for _, run in runs)
    told = ", ".join(f"{name} {clock[name] / 60:.0f} ({processor[name] / 60:.0f})" for name in clock)
    return (
        f"| coverage-guided inputs (atheris), minutes of wall clock (and CPU) for each target: {told} | "
        f"{sum(run['inputs'] for _, run in runs):,}, {failed} failures |"
    )


def resource_rows(found: dict[str, Any]) -> list[str]:
    """Return the table rows of memory by declared size and of growth over many decodes."""
    peaks = found["decode_peaks"]
    sizes, measured, bounds = (
        ", ".join(f"{peak[key]:.0f}" for peak in peaks) for key in ("megapixels", "peak_mib", "bound_mib")
    )
    grown = found["grown_bytes_over_1000_decodes"] / (1 << 20)
    what = f"peak memory, {sizes} megapixels, one thread, {found['backend']}"
    return [
        f"| {what} | {measured} MiB; the estimates that limit it are {bounds} MiB |",
        f"| 1,000 decodes of one file, {found['backend']} | memory in use grew by {grown:.1f} MiB |",
    ]


def matrix_row(found: dict[str, Any]) -> str:
    """Return the table row of files decoded under all settings of torch's kernels and threads."""
    what = (
        f"{found['cells']} settings of torch {found['torch'].split('+')[0]}: threads, oneDNN, instruction "
        "sets, memory format, tiles at once; in each, tiles of "
        f"{', '.join(map(str, found['tile_sizes']))} pixels a side"
    )
    differ = f"at most {found['most_samples_that_differ']} of {found['samples']:,} samples differ"
    return (
        f"| {what} | identical symbols in {found['cells_with_the_same_symbols']}; {differ} "
        f"from the first setting, by {found['largest_difference']} level |"
    )


def same_symbols(found: dict[str, Any]) -> str:
    """Return a sentence that compares files decoded elsewhere with those decoded here."""
    differ = f"{found['samples_that_differ']} of {found['samples']:,} samples differ"
    return (
        f"identical symbols in {found['files_with_the_same_symbols']}; {differ}, "
        f"by at most {found['largest_difference']} level"
    )


def processor_row(found: dict[str, Any]) -> str:
    """Return the table row of files decoded on another processor architecture."""
    there = found["there"]
    coder = "" if there["range_coder"] == "constriction" else ", range coder in plain Python"
    where = f"{there['processor']} (qemu-user), onnxruntime{coder}"
    what = f"{found['files']} files, one of them coded there, on {where}"
    return f"| {what} | {same_symbols(found)} |"


def runtime_row(found: dict[str, Any]) -> str:
    """Return the table row of files decoded by a runtime that the package does not use."""
    what = f"{found['files']} files by OpenVINO {found['openvino'].split('-')[0]} instead of onnxruntime"
    return f"| {what} | {same_symbols(found)} |"


def byte_order_row(found: dict[str, Any]) -> str:
    """Return the table row of files read on a big-endian machine."""
    there = found["there"]
    where = f"{there['processor']} (qemu-user), {there['byte_order']}-endian"
    return (
        f"| {found['files']} files on {where}: container, range decoder in plain Python, alpha, lossless "
        f"tiles | identical in {found['files_the_same']} |"
    )


def main() -> int:
    """Write the table between its markers in the page."""
    folder, page = Path(sys.argv[1]), Path(sys.argv[2])
    recorded(folder / "bomb.json", bomb)
    text = page.read_text(encoding="utf-8")
    page.write_text(replace_between(text, START, END, table(folder)), encoding="utf-8")
    return 0


def table(folder: Path) -> str:
    """Return the recorded results of a folder as a Markdown table."""
    measured = recorded(folder / "bomb.json", bomb)

    def record(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
        return found

    rows = fuzz_rows(record("fuzz.json")["targets"])
    rows.append(guided_row(record("guided.json")))
    seeded = record("seeded.json")
    rows.append(
        f"| defects planted in the code | {sum(map(bool, seeded.values()))} of {len(seeded)} detected |"
    )
    rows.append(
        f"| 65,535 x 65,535 pixels in {measured['bytes']:.0f} bytes | refused in "
        f"{measured['refusal_ms']:.1f} ms, process {measured['process_ms']:.0f} ms, CPU time |"
    )
    rows.append(matrix_row(record("matrix.json")))
    versions = (folder / "versions.txt").read_text(encoding="utf-8").splitlines()[1:]
    names = ", ".join(line.split()[0].split("+")[0] for line in versions)
    same = sum(line.split()[1] == "same" for line in versions)
    rows.append(f"| symbols under torch {names} | identical in {same} of {len(versions)} |")
    rows.append(runtime_row(record("openvino.json")))
    rows.append(processor_row(record("aarch64.json")))
    rows.append(byte_order_row(record("byte_order.json")))
    for name in ("resources.json", "resources_torch.json"):
        rows += resource_rows(record(name))
    return "\n".join(["| test | result |", "|---|---|", *rows])


if __name__ == "__main__":
    sys.exit(main())
