"""List the files of folders and patterns, and report what cannot be listed or opened."""

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
    """A file found by listing.

    relative: its path below the listed folder, or below the fixed part of the pattern.
    error: reason why it must not be opened: a folder that cannot be listed, a pipe, socket or device, or
    NothingFound.
    """

    name: str
    relative: str
    error: OSError | None = None


class NothingFound(FileNotFoundError):
    """A folder has no matching files, or no file matches a pattern."""


class _Entry(NamedTuple):
    """An entry of a folder. is_folder, is_file: for a link, those of its target."""

    name: str
    is_folder: bool
    is_file: bool
    is_link: bool


def walk(top: str, accepts: Accepts) -> Iterator[Found]:
    """Yield the files of a folder, then those of its subfolders, without recursion.

    accepts: predicate on file names. Hidden entries are omitted, links to folders are not followed.
    """
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
    """Yield the files that a pattern matches, sorted.

    Unlike glob.glob, folders that cannot be listed are yielded with their error. `**` matches any number of
    folders and follows no links, which could form a cycle. Raises UsageError for `**` inside a name.
    """
    fixed = fixed_part(pattern)
    parts = tuple(part for part in pattern.removeprefix(fixed).split("/") if part)
    fixed = "" if Path(fixed) == Path() else str(Path(fixed))
    if any("**" in part and part != "**" for part in parts):
        raise UsageError(f"{pattern}: '**' matches whole folders; put it between slashes")
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
    """Match the first part of a pattern in a folder; yield (path, remaining parts, entry)."""
    head, tail = parts[0], parts[1:]
    shows_hidden = head.startswith(".")
    if head == "**":
        # `**` matches zero folders, too. A pattern that ends with it matches all files.
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
    """Return the entries of a folder, sorted. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(_Entry(e.name, _test(e.is_dir), _test(e.is_file), e.is_symlink()) for e in entries)


def _named(folder: str, name: str) -> _Entry:
    """Return the entry of this name in a folder. Raises OSError."""
    path = os.path.join(folder, name)
    is_link = stat.S_ISLNK(os.lstat(path).st_mode)
    return _Entry(name, os.path.isdir(path), os.path.isfile(path), is_link)


def _test(predicate: Callable[[], bool]) -> bool:
    """Return the result of a test of an entry, False if it fails, as for a link in a cycle."""
    try:
        return predicate()
    except OSError:
        return False


def _checked(found: Found, entry: _Entry) -> Found:
    """Add an error if the entry is not a regular file: opening a pipe would block until it has a writer."""
    if entry.is_file:
        return found
    try:
        os.stat(found.name)
    except OSError:
        return found  # opening it will report the error
    error = OSError(errno.EINVAL, "is a pipe, socket or device, not a regular file; skipped", found.name)
    return found._replace(error=error)


def _left_out(folder: str, error: OSError) -> Found:
    """Return a folder that cannot be listed, with its error."""
    if error.errno == errno.ENAMETOOLONG:
        text = "is left out: its path is too long; start from a folder within it"
    else:
        text = f"is left out: {error.strerror or error}; check its permissions"
    return Found(folder, "", OSError(error.errno, text, folder))
