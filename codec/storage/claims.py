"""No output may be an input, and no two inputs may become one output."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from codec.errors import UsageError
from codec.storage.access import local_path

if TYPE_CHECKING:
    from collections.abc import Iterable


class Claims:
    """Who writes what in one run. Links, hard or symbolic, do not hide that two names are one file.

    sources: all inputs of the run.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._sources = {_identity(source) for source in sources}
        self._owner: dict[str, str] = {}

    def claim(self, source: str, target: str) -> None:
        """Reserve a target.

        Raises UsageError for one that is an input of this run, FileExistsError for one that is taken.
        """
        identity = _identity(target)
        if identity == _identity(source):
            raise UsageError(f"{source}: input and output are the same file; choose another with -o")
        if identity in self._sources:
            raise UsageError(f"{source}: its output {target} is another input; choose another with -o")
        path = local_path(target)
        place = target if path is None else os.path.realpath(path)
        if place in self._owner:
            also = f"is the output of {self._owner[place]}, too; rename one of the two"
            raise FileExistsError(errno.EEXIST, also, target)
        self._owner[place] = source


def _identity(name: str) -> str | tuple[int, int]:
    """Return what two names of one file have in common."""
    path = local_path(name)
    if path is None:
        return name
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino
