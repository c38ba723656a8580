"""Plant every defect of defects.py in a copy of the tree, one at a time, and check that its tests fail.

    python tests/planted_defects/run.py [--out RESULT.json] [NAME...]

The exit code is 1 if a defect survives: then a test is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))


def killed_by(tree: Path, tests: str) -> str:
    """Run tests in a tree; return the name of the first that failed, or an empty string."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return lines[0].split(" - ")[0].split(" ", 1)[1] if lines else f"pytest ended with {done.returncode}"


def main() -> int:
    """Plant each defect, run its tests, restore the file."""
    from defects import DEFECTS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        ignored = shutil.ignore_patterns(".git", "__pycache__", "undecayed*", "results", ".*_cache")
        shutil.copytree(ROOT, tree, ignore=ignored)
        for defect in DEFECTS:
            if options.names and defect.name not in options.names:
                continue
            path = tree / defect.file
            sound = path.read_text(encoding="utf-8")
            if sound.count(defect.old) != 1:
                sys.exit(f"{defect.name}: its place in {defect.file} is gone; mend defects.py")
            path.write_text(sound.replace(defect.old, defect.new), encoding="utf-8")
            found[defect.name] = killed_by(tree, defect.tests)
            path.write_text(sound, encoding="utf-8")
            print(f"{defect.name}: {found[defect.name] or 'SURVIVED'}", flush=True)
            if options.out:
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(not all(found.values()))


if __name__ == "__main__":
    sys.exit(main())
