"""Fuzz with inputs that atheris chooses by coverage, each target in a process of its own.

    python tests/fuzz/guided.py [--seconds N] [--corpus FOLDER] [--out RESULT.json] [TARGET...]

Each target runs for N seconds of wall-clock time. Half of the mutated inputs get valid CRCs. Runs accumulate:
each starts from the inputs in FOLDER/TARGET (default tests/fuzz/failed/corpus) and chosen.zip, and adds its
number of inputs and its wall-clock and CPU seconds to RESULT.json if that was made from the same sources.
`chosen.py FOLDER` stores the inputs found. Inputs that fail (any exception but a CodecError, two minutes on
one input, two gigabytes) are kept in tests/fuzz/failed. Needs: pip install atheris.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from chosen import SEED, chosen, file_name
from loop import NAMES, Record, code_version, run_each, write

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
FAILED = HERE / "failed"
# Targets whose input is a .vae file; the others have no CRC to correct.
WITH_CRC = ("container", "decode", "header", "salvage", "splits")
LONGEST = 4096


def fuzz(name: str, seconds: int, corpus: Path) -> None:
    """Run one target in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["codec", "targets"]):
        from targets import TARGETS, seeds

        from codec.errors import CodecError
    from mutate import mended

    target = TARGETS[name]

    def one_input(data: bytes) -> None:
        try:
            target(data)
        except CodecError:
            return

    def changed(data: bytes, longest: int, seed: int) -> bytes:
        made: bytes = atheris.Mutate(data, longest)
        return mended(made) if name in WITH_CRC and seed % 2 else made

    corpus.mkdir(parents=True, exist_ok=True)
    FAILED.mkdir(exist_ok=True)
    for number, data in enumerate(seeds(name)):
        (corpus / f"{SEED}{number}").write_bytes(data)
    for data in chosen(name):
        (corpus / file_name(data)).write_bytes(data)
    options = {
        "max_total_time": seconds,
        "timeout": 120,
        "rss_limit_mb": 2048,
        "max_len": LONGEST,
        "print_final_stats": 1,
        "artifact_prefix": f"{FAILED}/{name}-",
    }
    arguments = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], one_input, custom_mutator=changed)
    print(f"starts at {time.process_time():.2f}", file=sys.stderr, flush=True)
    atheris.Fuzz()


def in_child(name: str, seconds: int, corpus: Path) -> Record:
    """Run one target in a process of its own and return what libFuzzer counted.

    Raises RuntimeError if the process fails.
    """
    command = [sys.executable, __file__, "--child", "--seconds", str(seconds), "--corpus", str(corpus), name]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    count = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    starts = re.search(r"^starts at ([\d.]+)", done.stderr, re.MULTILINE)
    if done.returncode or count is None or starts is None:
        raise RuntimeError(f"{name}: ended with {done.returncode}\n{done.stderr[-3000:]}")
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime - float(starts[1])
    covered = int(re.findall(r"\bcov: (\d+)", done.stderr)[-1])
    kept = len(list((corpus / name).iterdir()))
    return {
        "inputs": int(count[1]),
        "seconds": seconds,
        "cpu_seconds": round(spent, 1),
        "covered": covered,
        "kept": kept,
    }


def added(before: dict[str, Any], now: dict[str, Any]) -> Record:
    """Return the record of both runs: summed inputs and seconds, coverage of the last, all failures."""
    both: dict[str, Any] = {**before, **now}
    for key in ("inputs", "seconds", "cpu_seconds"):
        if key in both:
            both[key] = round(before.get(key, 0) + now.get(key, 0), 1)
    return both


def main() -> int:
    """Run the targets that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--corpus", type=Path, default=FAILED / "corpus")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", action="store_true")
    parser.add_argument("names", nargs="*", default=NAMES)
    options = parser.parse_args()
    if options.child:
        fuzz(options.names[0], options.seconds, options.corpus / options.names[0])
        return 0
    found = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    targets = found.setdefault(code_version(), {})

    def keep(name: str, record: Record) -> None:
        targets[name] = added(targets.get(name, {}), record)
        write(options.out, found)

    return run_each(options.names, lambda name: in_child(name, options.seconds, options.corpus), keep)


if __name__ == "__main__":
    sys.exit(main())
