"""Read, write and list files by path, or by a URL that fsspec supports (extra `remote`)."""

from __future__ import annotations

import errno
import glob
import os
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from codec.errors import LimitExceeded, UsageError
from codec.io.files import check_writable, write_atomic, writes_through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOCAL = "file://"
MAX_INPUT_BYTES = 1 << 30


class Stamp(NamedTuple):
    """Size in bytes and modification time in ns of a local file, to detect changes."""

    n_bytes: int
    mtime_ns: int


def local_path(name: str) -> str | None:
    """Return the path of a name or file:// URL, or None for any other URL."""
    if name.startswith(_LOCAL):
        return name.removeprefix(_LOCAL)
    return None if "://" in name else name


def stamp(name: str) -> Stamp | None:
    """Return the stamp of a local file, None for a URL. Raises OSError."""
    path = local_path(name)
    if path is None:
        return None
    found = os.stat(path)
    return Stamp(found.st_size, found.st_mtime_ns)


def exists(name: str) -> bool:
    """Return whether a file, folder or link of this name exists."""
    path = local_path(name)
    if path is not None:
        return os.path.lexists(path)
    system, place = _remote(name)
    return bool(system.exists(place))


def read(name: str) -> bytes:
    """Return all bytes of a file. Raises OSError, or LimitExceeded for one above MAX_INPUT_BYTES."""
    path = local_path(name)
    if path is None:
        system, place = _remote(name)
        with system.open(place, "rb") as stream:
            data = bytes(stream.read(MAX_INPUT_BYTES + 1))
    else:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_INPUT_BYTES + 1)
    if len(data) > MAX_INPUT_BYTES:
        raise LimitExceeded(f"{name}: is larger than {MAX_INPUT_BYTES:,} bytes; pass a smaller file")
    return data


def check(name: str, *, overwrite: bool) -> None:
    """Raise OSError for an output that cannot be written, or that exists unless `overwrite`."""
    path = local_path(name)
    if path is not None:
        check_writable(Path(path), overwrite=overwrite)
    elif not overwrite and exists(name):
        raise FileExistsError(errno.EEXIST, "exists already", name)


def write(name: str, data: bytes | Callable[[IO[bytes]], object], *, overwrite: bool) -> None:
    """Write a file completely or not at all. Raises OSError.

    data: bytes, or a function that writes them into the file it is given. Local files are written by
    `write_atomic`. Remote ones are written by one `pipe_file`, which object stores complete atomically; the
    check for an existing file comes before, so of two simultaneous writers the last one wins.
    """
    path = local_path(name)
    if path is None:
        check(name, overwrite=overwrite)
        system, place = _remote(name)
        if not isinstance(data, bytes):
            buffer = BytesIO()
            data(buffer)
            data = buffer.getvalue()
        system.pipe_file(place, data)
        return
    try:
        write_atomic(Path(path), data, overwrite=overwrite)
    except OSError as error:
        # Name the output instead of the temporary file.
        raise type(error)(error.errno, error.strerror, name) from error


def make_parents(name: str) -> None:
    """Create the parent folders of a file, if its storage has folders."""
    path = local_path(name)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return
    system, place = _remote(name)
    # Object stores have no folders, and may deny the attempt.
    with suppress(OSError, NotImplementedError):
        system.makedirs(place.rpartition("/")[0], exist_ok=True)


def keep_mtime(target: str, mtime_ns: int) -> None:
    """Set the modification time of a local output, in ns; pipes, devices and URLs are left unchanged."""
    path = local_path(target)
    if path is not None and os.path.isfile(path) and not writes_through(path):
        os.utime(path, ns=(mtime_ns, mtime_ns))


def find(url: str) -> Iterator[tuple[str, str]]:
    """Yield (URL, relative path) of all files below a URL, or of those that match a pattern, sorted.

    Relative paths start below the folder, or below the fixed part of the pattern.
    """
    system, place = _remote(url)
    if glob.has_magic(place):
        places = [found for found in system.glob(place) if not system.isdir(found)]
        place = fixed_part(place)
    else:
        places = system.find(place)
    for found in sorted(places):
        yield str(system.unstrip_protocol(found)), str(found).removeprefix(place).lstrip("/")


def fixed_part(pattern: str) -> str:
    """Return the leading folders of a pattern that have no wildcards."""
    parts = pattern.split("/")
    wild = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return "/".join(parts[:wild]) or ("/" if pattern.startswith("/") else "")


def _remote(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL and the path in it. Raises UsageError."""
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError:
        raise UsageError(f"{url}: URLs need fsspec; install vaezip with its extra 'remote'") from None
    try:
        system, place = url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise UsageError(f"{url}: {error}") from error
    return system, str(place)
