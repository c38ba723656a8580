"""Memory of worker threads: one heap for all of them, and what is free given back now and then."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_M_ARENA_MAX = -8  # malloc.h of glibc
# Tiles between two times: what is given back must be asked for again, page by page.
TILES_BETWEEN = 16


def share_one_heap() -> None:
    """Let threads yet to come take memory from one heap, where the C library is glibc; otherwise do nothing.

    It would give each thread a heap of its own, and each of these keeps the most it ever held.
    """
    mallopt = getattr(_c_library(), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Give memory that is free back to the system, where the C library is glibc; otherwise do nothing."""
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def giving_back(progress: Callable[[int, int], None] | None) -> Callable[[int, int], None]:
    """Return a function that, called as `progress` is and calling it, gives free memory back in between."""

    def update(done: int, total: int) -> None:
        if done % TILES_BETWEEN == 0:
            give_back()
        if progress is not None:
            progress(done, total)

    return update


@functools.cache
def _c_library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform.startswith("linux") else None
