"""One heap for all worker threads."""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX = -8  # malloc.h of glibc


def share_one_heap() -> None:
    """Let threads yet to come take memory from one heap, where the C library is glibc; otherwise do nothing.

    It would give each thread a heap of its own, and each of them keeps what it once had: a picture of 120
    megapixels then takes a hundred megabytes more with two threads, and a thousand with twenty.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
