"""Which files a run reads and what each becomes: folders and patterns opened up, trees mirrored."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from codec.errors import UsageError
from codec.storage.access import find, fixed_part, local_path

Accepts = Callable[[str], bool]


class Found(NamedTuple):
    """A file, and its path below the folder, or the fixed part of the pattern, that led to it."""

    name: str
    relative: str


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

    Hidden files and folders are left out, and links to folders are not followed. A pattern that matches
    nothing stands for itself: whoever opens it finds that there is no such file.
    """
    path = local_path(source)
    if not is_many(source):
        yield one_file(source)
    elif path is None:
        wild = glob.has_magic(source)
        found = [Found(name, relative) for name, relative in find(source) if wild or accepts(name)]
        yield from found if found or not wild else [one_file(source)]
    elif os.path.isdir(path):
        for name in _walk(path):
            if accepts(name):
                yield Found(name, os.path.relpath(name, path))
    else:
        yield from list(_matches(path)) or [one_file(source)]


def target_of(found: Found, output: str | None, suffix: str) -> str:
    """Return the file below the folder `output`, or beside its source, with `suffix` for its own."""
    if output is None:
        head, slash, tail = found.name.rpartition("/")
        return f"{head}{slash}{PurePosixPath(tail).with_suffix(suffix)}"
    if local_path(output) is None or output.startswith("file://"):
        relative = PurePosixPath(found.relative.replace(os.sep, "/")).with_suffix(suffix)
        return f"{output.rstrip('/')}/{relative}"
    return str(Path(output) / Path(found.relative).with_suffix(suffix))


def _walk(folder: str) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield os.path.join(where, name)


def _matches(pattern: str) -> Iterator[Found]:
    fixed = fixed_part(pattern)
    wild = pattern.removeprefix(fixed).lstrip("/")
    shows_hidden = any(part.startswith(".") for part in wild.split("/"))
    try:
        # Not glob.glob, whose ** follows links to folders, in circles if need be.
        matches = sorted(Path(fixed).glob(wild))
    except ValueError as error:
        raise UsageError(f"{pattern}: {error}") from error
    for match in matches:
        relative = match.relative_to(fixed)
        if match.is_file() and (shows_hidden or not any(part.startswith(".") for part in relative.parts)):
            yield Found(str(match), str(relative))
