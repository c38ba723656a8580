"""Memory: one heap for all threads, and running out of it as an error of this package."""

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


# torch and CUDA, oneDNN, onnxruntime, C++ in general, and Python for threads that find no room for a stack.
_SIGNS = (
    "allocate memory",
    "out of memory",
    "could not create a",
    "bad_alloc",
    "bad allocation",
    "can't start new thread",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that there is not enough memory."""
    if isinstance(error, MemoryError):
        return True
    return not isinstance(error, CodecError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn an error that says that memory ran out into LimitExceeded."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise LimitExceeded(
            "not enough memory; use fewer threads, or decode a region or a preview", field="memory"
        ) from error
