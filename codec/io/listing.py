"""List folders and patterns, with all that cannot be listed or opened."""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from codec.errors import UsageError
from codec.io.storage import fixed_part

Accepts = Callable[[str], bool]


class Found(NamedTuple):
    """A file, and its path below the folder, or the fixed part of the pattern, that led to it.

    error: why this is nothing to open: a folder that cannot be listed, no regular file, or NothingFound.
    """

    name: str
    relative: str
    error: OSError | None = None


class NothingFound(FileNotFoundError):
    """A folder without such files, or a pattern that no file matches."""


class _Entry(NamedTuple):
    """What a folder holds. is_folder, is_file: of what a link leads to."""

    name: str
    is_folder: bool
    is_file: bool
    is_link: bool


def walk(top: str, accepts: Accepts) -> Iterator[Found]:
    """Yield the files of a folder, then those of its subfolders, however deep the tree is."""
    pending = [top]
    while pending:
        folder = pending.pop()
        try:
            entries = _listed(folder)
        except OSError as error:
            yield _left_out(folder, error)
            continue
        subfolders = []
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if entry.name.startswith("."):
                continue
            if not entry.is_folder:
                if accepts(entry.name):
                    yield _checked(Found(path, os.path.relpath(path, top)), entry)
            elif not entry.is_link:
                subfolders.append(path)
        pending += reversed(subfolders)


def matches(pattern: str) -> Iterator[Found]:
    """Yield the files that a pattern matches, sorted; the library's glob says nothing of what it cannot list.

    `**` stands for any folders below and follows no links, which may lead in circles.
    """
    fixed = fixed_part(pattern)
    parts = tuple(part for part in pattern.removeprefix(fixed).split("/") if part)
    fixed = "" if Path(fixed) == Path() else str(Path(fixed))
    if any("**" in part and part != "**" for part in parts):
        raise UsageError(f"{pattern}: '**' stands for whole folders; put it between slashes")
    found: dict[str, Found] = {}
    pending = [(fixed, parts)]
    seen = set(pending)
    while pending:
        folder, rest = pending.pop()
        try:
            for place, left, entry in _step(folder, rest):
                if not left:
                    found[place] = _checked(Found(place, os.path.relpath(place, fixed or ".")), entry)
                elif (place, left) not in seen:
                    seen.add((place, left))
                    pending.append((place, left))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            found[folder] = _left_out(folder or ".", error)
    yield from (found[name] for name in sorted(found, key=lambda name: Path(name).parts))


def _step(folder: str, parts: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], _Entry]]:
    """Yield the paths in a folder that a pattern leads to, each with what is left of the pattern there."""
    head, tail = parts[0], parts[1:]
    shows_hidden = head.startswith(".")
    if head == "**":
        # No folder at all is any folders, too; a pattern that ends so means all files.
        yield folder, tail or ("*",), _Entry("", is_folder=True, is_file=False, is_link=False)
    for entry in _listed(folder or ".") if glob.has_magic(head) else [_named(folder, head)]:
        path = os.path.join(folder, entry.name)
        if entry.name.startswith(".") and not shows_hidden:
            continue
        if head == "**":
            if entry.is_folder and not entry.is_link:
                yield path, parts, entry
        elif fnmatch.fnmatch(entry.name, head) and entry.is_folder == bool(tail):
            yield path, tail, entry


def _listed(folder: str) -> list[_Entry]:
    """Return what a folder holds, sorted. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(_Entry(e.name, _holds(e.is_dir), _holds(e.is_file), e.is_symlink()) for e in entries)


def _named(folder: str, name: str) -> _Entry:
    """Return one thing in a folder. Raises OSError."""
    path = os.path.join(folder, name)
    is_link = stat.S_ISLNK(os.lstat(path).st_mode)
    return _Entry(name, os.path.isdir(path), os.path.isfile(path), is_link)


def _holds(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:
        return False


def _checked(found: Found, entry: _Entry) -> Found:
    """Add the error of what must not be opened: a pipe would wait for its writer for ever."""
    if entry.is_file:
        return found
    try:
        os.stat(found.name)
    except OSError:
        return found  # whoever opens it will say why not
    error = OSError(errno.EINVAL, "is a pipe, socket or device, no regular file; passed over", found.name)
    return found._replace(error=error)


def _left_out(folder: str, error: OSError) -> Found:
    """Return a folder that cannot be listed."""
    if error.errno == errno.ENAMETOOLONG:
        what = "is left out: its path is too long; start from a folder within it"
    else:
        what = f"is left out: {error.strerror or error}; check its permissions"
    return Found(folder, "", OSError(error.errno, what, folder))
