"""Let atheris choose inputs by the coverage they reach, each target in a process of its own.

    python tests/fuzz/guided.py [--seconds N] [--out RESULT.json] [TARGET...]

Half of what it makes has its CRCs mended. N seconds of wall-clock time for each target. What goes wrong (any
exception but a CodecError, ten seconds on one input, two gigabytes) is kept in tests/fuzz/failed, beside the
inputs found so far, from which the next run goes on. Needs: pip install atheris.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
FAILED = HERE / "failed"
NAMES = ("header", "container", "metadata", "frames", "entropy", "decode", "salvage", "splits", "roundtrip")
# Targets whose input is a file: with others there is no CRC to mend.
WITH_CRC = ("container", "decode", "header", "salvage", "splits")
LONGEST = 4096


def fuzz(name: str, seconds: int) -> None:
    """Run one target in this very process, which libFuzzer ends."""
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

    corpus = FAILED / f"corpus-{name}"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(data)
    options = {
        "max_total_time": seconds,
        "timeout": 10,
        "rss_limit_mb": 2048,
        "max_len": LONGEST,
        "print_final_stats": 1,
        "artifact_prefix": f"{FAILED}/{name}-",
    }
    arguments = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], one_input, custom_mutator=changed)
    atheris.Fuzz()


def in_child(name: str, seconds: int) -> dict[str, object]:
    """Run one target in a process of its own and return what libFuzzer counted.

    Raises RuntimeError where it ends in any way but well.
    """
    command = [sys.executable, __file__, "--child", "--seconds", str(seconds), name]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    count = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    if done.returncode or count is None:
        raise RuntimeError(f"{name}: ended with {done.returncode}\n{done.stderr[-3000:]}")
    covered = re.findall(r"\bcov: (\d+)", done.stderr)
    kept = len(list((FAILED / f"corpus-{name}").iterdir()))
    return {"inputs": int(count[1]), "seconds": seconds, "covered": int(covered[-1]), "kept": kept}


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", action="store_true")
    parser.add_argument("names", nargs="*", default=NAMES)
    options = parser.parse_args()
    if options.child:
        fuzz(options.names[0], options.seconds)
        return 0
    failed = False
    found = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    for name in options.names:
        try:
            found[name] = in_child(name, options.seconds)
        except RuntimeError as error:
            failed, found[name] = True, {"failed": str(error).splitlines()[0]}
            print(error, file=sys.stderr)
        print(name, json.dumps(found[name]), flush=True)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(found, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
