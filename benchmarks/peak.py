"""Peak memory of the command, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Not ru_maxrss: Linux hands a parent's peak down to its children, through fork and exec.
PROGRAM = """
import sys
from codec.cli.main import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
sys.exit(code)
"""


def peak_bytes(*arguments: str | Path) -> int:
    """Run `vaezip` with arguments; return the most resident memory it had, in bytes. For Linux."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=True, text=True)
    return 1024 * int(done.stdout.split()[-1])
