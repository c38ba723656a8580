"""Which files a run reads and what each becomes: folders and patterns opened up, trees mirrored."""

from __future__ import annotations

import errno
import glob
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from codec.storage.access import find, local_path
from codec.storage.listing import Found, NothingFound, matches, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codec.storage.listing import Accepts


def is_many(source: str) -> bool:
    """Tell a folder, a pattern or a URL of either from the name of one file."""
    path = local_path(source)
    if path is None:
        return source.endswith("/") or glob.has_magic(source)
    return os.path.isdir(path) or (glob.has_magic(path) and not os.path.lexists(path))


def one_file(source: str) -> Found:
    """Return a source as the one file it names; `relative` is empty where its name has no last part."""
    path = local_path(source)
    return Found(source, PurePosixPath(source).name if path is None else Path(path).name)


def expand(source: str, accepts: Accepts) -> Iterator[Found]:
    """Yield what a source stands for, sorted: the files of a folder that `accepts` takes, or of a pattern.

    Hidden files and folders are left out, and links to folders are not followed. Whatever else is left out
    is yielded with its error, and so is a source that stands for nothing, with NothingFound.
    """
    if not is_many(source):
        yield one_file(source)
        return
    path = local_path(source)
    if path is None:
        wild = glob.has_magic(source)
        files: Iterator[Found] = (
            Found(name, relative) for name, relative in find(source) if wild or accepts(name)
        )
    elif os.path.isdir(path):
        wild, files = False, walk(path, accepts)
    else:
        wild, files = True, matches(path)
    is_empty = True
    for found in files:
        is_empty = False
        yield found
    if is_empty:
        what = "no file matches this pattern" if wild else "this folder holds no such files"
        yield one_file(source)._replace(error=NothingFound(errno.ENOENT, f"{what}; check the name", source))


def target_of(found: Found, output: str | None, suffix: str) -> str:
    """Return the file below the folder `output`, or beside its source, with `suffix` for its own."""
    if output is None:
        head, slash, tail = found.name.rpartition("/")
        return f"{head}{slash}{PurePosixPath(tail).with_suffix(suffix)}"
    if local_path(output) is None or output.startswith("file://"):
        relative = PurePosixPath(found.relative.replace(os.sep, "/")).with_suffix(suffix)
        return f"{output.rstrip('/')}/{relative}"
    return str(Path(output) / Path(found.relative).with_suffix(suffix))
