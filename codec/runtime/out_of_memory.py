"""Memory that runs out, by whatever name the libraries call it, as one error of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from codec.errors import CodecError, LimitExceeded

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
