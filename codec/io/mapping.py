"""Map inputs to outputs: expand folders and patterns, mirror trees, refuse collisions."""

from __future__ import annotations

import errno
import functools
import glob
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from codec.errors import UsageError
from codec.io.listing import Found, NothingFound, matches, walk
from codec.io.storage import find, local_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from codec.io.listing import Accepts

# Formats whose suffix Pillow knows but whose pixels it cannot decode, or which this package refuses.
_UNREADABLE = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


def is_many(source: str) -> bool:
    """Return whether a source is a folder, a pattern, or a URL of either, instead of one file."""
    path = local_path(source)
    if path is None:
        return source.endswith("/") or glob.has_magic(source)
    return os.path.isdir(path) or (glob.has_magic(path) and not os.path.lexists(path))


def one_file(source: str) -> Found:
    """Return a source as one file; `relative` is its last part, empty for a path such as '/'."""
    path = local_path(source)
    return Found(source, PurePosixPath(source).name if path is None else Path(path).name)


def expand(source: str, accepts: Accepts) -> Iterator[Found]:
    """Yield the files of a source: itself, those of a folder that `accepts` accepts, or a pattern's matches.

    Files of one folder or pattern are sorted. Hidden files and folders are omitted, and links to folders are
    not followed. Anything else that is omitted is yielded with its error; a folder or pattern without files
    is yielded with NothingFound.
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
        text = "no file matches this pattern" if wild else "this folder holds no such files"
        yield one_file(source)._replace(error=NothingFound(errno.ENOENT, f"{text}; check the name", source))


def target_of(found: Found, output: str | None, suffix: str) -> str:
    """Return the output for a file: below the folder `output`, or next to the source if that is None.

    suffix: replaces that of the source, such as ".vae".
    """
    if output is None:
        head, slash, tail = found.name.rpartition("/")
        return f"{head}{slash}{PurePosixPath(tail).with_suffix(suffix)}"
    if local_path(output) is None or output.startswith("file://"):
        relative = PurePosixPath(found.relative.replace(os.sep, "/")).with_suffix(suffix)
        return f"{output.rstrip('/')}/{relative}"
    return str(Path(output) / Path(found.relative).with_suffix(suffix))


def is_picture(name: str) -> bool:
    """Return whether the suffix of a file is that of a format Pillow decodes."""
    return os.path.splitext(name)[1].lower() in _suffixes()


def pictures_below(folder: Path) -> list[Path]:
    """Return all pictures below a folder, sorted by path, without hidden ones.

    Raises OSError for a folder that cannot be listed, and for a picture that is not a regular file.
    """
    found = list(expand(str(folder), is_picture))
    for error in (each.error for each in found):
        if error is not None and not isinstance(error, NothingFound):
            raise error
    return sorted(Path(each.name) for each in found if each.error is None)


def is_stream(name: str) -> bool:
    """Return whether the suffix of a file is .vae."""
    return name.lower().endswith(".vae")


@functools.cache
def _suffixes() -> frozenset[str]:
    from PIL import Image

    return frozenset(
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if kind in Image.OPEN and kind not in _UNREADABLE and suffix != ".vae"
    )


class Claims:
    """Outputs reserved in one run, so that none overwrites an input or another output.

    Two names of one file, by hard or symbolic links, count as one. sources: all inputs of the run.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._sources = {_identity(source) for source in sources}
        self._owner: dict[str, str] = {}

    def claim(self, source: str, target: str) -> None:
        """Reserve `target` for `source`.

        Raises UsageError if it is an input of this run, FileExistsError if it is already reserved.
        """
        identity = _identity(target)
        if identity == _identity(source):
            raise UsageError(f"{source}: input and output are the same file; choose another with -o")
        if identity in self._sources:
            raise UsageError(f"{source}: its output {target} is another input; choose another with -o")
        path = local_path(target)
        place = target if path is None else os.path.realpath(path)
        if place in self._owner:
            also = f"is already the output of {self._owner[place]}; rename one of the two"
            raise FileExistsError(errno.EEXIST, also, target)
        self._owner[place] = source


def _identity(name: str) -> str | tuple[int, int]:
    """Return a key that is equal for all names of one file: device and inode, or the resolved path."""
    path = local_path(name)
    if path is None:
        return name
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino
