"""The names of the targets, and a loop that runs them in turn and continues after failures."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHEAP = ("header", "container", "metadata", "frames")
FULL = ("entropy", "detail", "decode", "salvage", "splits", "roundtrip")
NAMES = CHEAP + FULL
Record = dict[str, object]


def run_each(names: Iterable[str], run: Callable[[str], Record], keep: Callable[[str, Record], None]) -> int:
    """Run targets and keep each record; a RuntimeError is recorded as a failure. Return the exit code."""
    failed = False
    for name in names:
        try:
            record = run(name)
        except RuntimeError as error:
            failed, record = True, {"failed": str(error).splitlines()[0]}
            print(error, file=sys.stderr)
        print(name, json.dumps(record), flush=True)
        keep(name, record)
    return int(failed)


def write(out: Path | None, found: object) -> None:
    """Write a record to `out`, unless that is None."""
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def code_version() -> str:
    """Return a name for the present sources of the codec: 12 digits of their sha256."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "codec").rglob("*.py")):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
