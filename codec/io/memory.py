"""Limit the growth of glibc's heap, and report running out of memory as LimitExceeded."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from codec.errors import CodecError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

_M_ARENA_MAX = -8  # malloc.h of glibc
# Indices into glibc's mallinfo2: bytes allocated from the heap, and bytes in mappings of their own.
_UORDBLKS, _HBLKHD = 7, 4
# Tiles between two trims: released pages must be faulted in again one by one.
TILES_BETWEEN = 16
# Parts of messages of torch and CUDA, oneDNN, onnxruntime, C++ in general, and of Python without room for
# the stack of a new thread.
_OUT_OF_MEMORY_MESSAGES = (
    "allocate memory",
    "out of memory",
    "could not create a",
    "bad_alloc",
    "bad allocation",
    "can't start new thread",
)


def share_one_heap() -> None:
    """Make threads started later share one heap, with glibc; do nothing with other C libraries.

    By default glibc gives each thread its own heap, which keeps the maximum it ever used.
    """
    mallopt = getattr(_c_library(), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


class _Mallinfo(ctypes.Structure):
    _fields_ = (("numbers", ctypes.c_size_t * 10),)


def allocated_bytes() -> int | None:
    """Return the bytes allocated through the C library, without free memory that it retains.

    Python's small objects are not included. None unless the C library is glibc 2.33 or newer.
    """
    mallinfo = getattr(_c_library(), "mallinfo2", None)
    if mallinfo is None:
        return None
    mallinfo.restype = _Mallinfo
    numbers = mallinfo().numbers
    return int(numbers[_UORDBLKS] + numbers[_HBLKHD])


def trim_heap(progress: Callable[[int, int], None] | None) -> Callable[[int, int], None]:
    """Wrap a progress function, called with (done, total) tiles, to release free memory every 16 tiles."""
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


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error reports that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    return not isinstance(error, CodecError) and any(part in str(error) for part in _OUT_OF_MEMORY_MESSAGES)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise LimitExceeded for an error of the block that reports that memory ran out."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise LimitExceeded(
            "not enough memory; use fewer threads, or decode a region or a preview", field="memory"
        ) from error
