"""Run targets on mutated inputs, each target in a child process with limits on memory and time.

    python tests/fuzz/run.py [--cheap N] [--full N] [--seed S] [--out RESULT.json] [TARGET...]

--cheap: number of inputs for all header-level targets together; --full: for all others. A child is killed if
one input takes more than 0.5 s of CPU time plus 4 us for each pixel that may be declared. Any exception but a
CodecError is a failure, including the MemoryError raised above a gigabyte; the input is then kept in
tests/fuzz/failed.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from loop import CHEAP, NAMES, Record, code_version, run_each, write

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
SECONDS = 0.5 + 4e-6 * (1 << 16)
MEMORY = 1 << 30
# Shares of the targets in each total.
SHARES = {"header": 0.3, "container": 0.4, "metadata": 0.15, "frames": 0.15, "entropy": 0.2, "detail": 0.1,
          "decode": 0.4, "salvage": 0.1, "splits": 0.1, "roundtrip": 0.1}  # fmt: skip


def _status(name: str) -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))


def child(name: str, count: int, seed: int) -> Record:
    """Run one target in this process; return its record."""
    from mutate import mutated
    from targets import TARGETS, seeds

    from codec.errors import CodecError

    target, start, rng = TARGETS[name], seeds(name), random.Random(f"{name} {seed}")
    for data in start:  # modules loaded at first use are loaded before the limits apply
        with suppress(CodecError):
            target(data)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize:") + MEMORY,) * 2)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    outcome: Counter[str] = Counter()
    before, began = _status("VmRSS:"), time.process_time()
    data = b""
    try:
        for _ in range(count):
            data = mutated(rng, start)
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            try:
                target(data)
                outcome["accepted"] += 1
            except CodecError as error:
                outcome[type(error).__name__] += 1
    except BaseException:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        (HERE / "failed").mkdir(exist_ok=True)
        (HERE / "failed" / f"{name}-{seed}-{sum(outcome.values())}").write_bytes(data)
        raise
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    grown = max(0, _status("VmHWM:") - before) / (1 << 20)
    seconds = round(time.process_time() - began, 1)
    return {
        "inputs": count,
        **dict(sorted(outcome.items())),
        "cpu_seconds": seconds,
        "grown_mib": round(grown),
    }


def in_child(name: str, count: int, seed: int) -> Record:
    """Run one target in a process of its own. Raises RuntimeError if the process fails."""
    command = [sys.executable, __file__, "--child", "--cheap", str(count), "--seed", str(seed), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: ended with {done.returncode}\n{done.stderr[-3000:]}")
    record: Record = json.loads(done.stdout.splitlines()[-1])
    return record


def main() -> int:
    """Run the targets that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cheap", type=int, default=2_000_000)
    parser.add_argument("--full", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", action="store_true")
    parser.add_argument("names", nargs="*", default=NAMES)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.names[0], options.cheap, options.seed)))
        return 0
    found: dict[str, Record] = {}
    whole = {"seed": options.seed, "code": code_version(), "targets": found}

    def run(name: str) -> Record:
        total = options.cheap if name in CHEAP else options.full
        return in_child(name, round(total * SHARES[name]), options.seed)

    def keep(name: str, record: Record) -> None:
        found[name] = record
        write(options.out, whole)

    return run_each(options.names, run, keep)


if __name__ == "__main__":
    sys.exit(main())
