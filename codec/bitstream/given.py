"""The bytes of a .vae file, whichever way a caller hands them over."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from codec.errors import CodecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

Data: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]


@contextmanager
def given(data: Data) -> Iterator[memoryview]:
    """Give the bytes of a file, uint8 [N], of its bytes or its path.

    What is raised within about a path begins with it. Raises UsageError for anything else, OSError for a file
    that cannot be read.
    """
    if not isinstance(data, (str, os.PathLike)):
        yield _view(data)
        return
    name = os.fspath(data)
    if not isinstance(name, str) or "\0" in name:
        raise UsageError("no path of a file; pass the bytes of a .vae file as bytes", field="data")
    view = memoryview(Path(name).read_bytes())
    try:
        yield view
    except CodecError as error:
        raise type(error)(f"{name}: {error}", field=error.field, offset=error.offset) from error


def _view(data: bytes | bytearray | memoryview) -> memoryview:
    try:
        view = memoryview(data)
        return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    except TypeError:
        advice = "; decode_from() reads open files" if hasattr(data, "read") else ""
        raise UsageError(
            f"cannot read {type(data).__name__}; pass the bytes or the path of a .vae file{advice}",
            field="data",
        ) from None
