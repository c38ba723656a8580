"""The C library's memory: one heap for all threads, what is free given back now and then, what is in use."""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_M_ARENA_MAX = -8  # malloc.h of glibc
# Fields of its mallinfo2: bytes handed out from the heap, and from mappings of their own.
_UORDBLKS, _HBLKHD = 7, 4
# Tiles between two times: what is given back must be asked for again, page by page.
TILES_BETWEEN = 16


def share_one_heap() -> None:
    """Let threads yet to come take memory from one heap, where the C library is glibc; otherwise do nothing.

    It would give each thread a heap of its own, and each of these keeps the most it ever held.
    """
    mallopt = getattr(_c_library(), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


class _Mallinfo(ctypes.Structure):
    _fields_ = (("numbers", ctypes.c_size_t * 10),)


def handed_out() -> int | None:
    """Bytes that the C library has handed out, exactly: of what is free it keeps more or less by chance.

    None but where it is glibc 2.33 or newer. Python's own small objects lie elsewhere.
    """
    mallinfo = getattr(_c_library(), "mallinfo2", None)
    if mallinfo is None:
        return None
    mallinfo.restype = _Mallinfo
    numbers = mallinfo().numbers
    return int(numbers[_UORDBLKS] + numbers[_HBLKHD])


def giving_back(progress: Callable[[int, int], None] | None) -> Callable[[int, int], None]:
    """Return a function that, called as `progress` is and calling it, gives free memory back in between."""
    trim = getattr(_c_library(), "malloc_trim", None)

    def update(done: int, total: int) -> None:
        if trim is not None and done % TILES_BETWEEN == 0:
            trim(0)
        if progress is not None:
            progress(done, total)

    return update


@functools.cache
def _c_library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform.startswith("linux") else None
