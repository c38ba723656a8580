"""Small runs, to see that a script works: `SMALL=1 python benchmarks/...` takes seconds and measures nothing.

So do `SMALL=1 benchmarks/run` and `SMALL=1 python -m pytest benchmarks/test_speed.py`.
"""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

SMALL = os.environ.get("SMALL") == "1"


def usual(value: T, *, small: T) -> T:
    """Return what a run takes, or what stands for it in a small one."""
    return small if SMALL else value
