"""Atomic writes, and writes to pipes, devices and open descriptors."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn, cast

from codec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_MAX_LINKS = 40


def descriptor_of(path: str | Path) -> int | None:
    """Return the open descriptor that a path names, such as 1 for /dev/stdout or a link to it, or None."""
    for folder, last in _link_by_link(path):
        if last.isascii() and last.isdecimal() and _holds_descriptors(folder):
            return int(last)
    return None


def writes_through(path: str | Path) -> bool:
    """Return whether a path is written through: an open descriptor, a pipe or a character device.

    Writing to such a path replaces no file.
    """
    if descriptor_of(path) is not None or _is_of_another_process(path):
        return True
    try:
        return _is_sink(os.stat(path))
    except (OSError, ValueError):
        return False


def check_writable(path: Path, *, overwrite: bool = False) -> Path:
    """Check that `path` can be written, and return the file that writing to it would create.

    Symlinks are followed, never replaced; a path that is written through is returned unchanged. Raises
    FileExistsError for an existing file unless `overwrite`, and other OSErrors for a missing or read-only
    folder, a target that is not a regular file, or a descriptor that is not open for writing.
    """
    descriptor = descriptor_of(path)
    if descriptor is not None:
        _check_descriptor(descriptor, path)
        return path
    if _is_of_another_process(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "cannot be written to", str(path))
        return path
    target = Path(os.path.realpath(path))
    try:
        found = target.stat()
    except FileNotFoundError:
        found = None
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        if _is_sink(found):
            return path
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "exists already", str(path))
    folder = target.parent
    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "its folder does not exist", str(path))
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "its folder is a file", str(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "its folder cannot be written to", str(path))
    return target


def write_atomic(
    path: Path,
    data: bytes | bytearray | memoryview | Callable[[IO[bytes]], object],
    *,
    overwrite: bool = False,
) -> None:
    """Write `data` to `path` atomically: neither a reader nor a crash ever sees a partial file.

    data: bytes, or a function that writes them into the seekable file it is given.
    The bytes go to a temporary file in the same folder, which is synced and then renamed. Without
    `overwrite`, FileExistsError is raised if another process creates `path` meanwhile. A new file gets the
    mode set by the umask; an overwritten one keeps its mode. After an OSError no temporary file is left and
    an existing file is unchanged.
    Pipes, devices and open descriptors (/dev/stdout, /dev/fd/N) are written to directly at their current
    position, whatever `overwrite` is; a function then gets a file that cannot seek.
    """
    target = check_writable(path, overwrite=overwrite)
    if writes_through(target):
        with _open_sink(target) as sink:
            write_into(cast("IO[bytes]", _NoSeeking(sink)), data)
        return
    try:
        found = target.stat()
    except FileNotFoundError:
        found = None
    temporary = target.parent / f".vaezip-{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as out:
            write_into(out, data)
            out.flush()
            if found is not None and hasattr(os, "fchmod"):
                os.fchmod(out.fileno(), stat.S_IMODE(found.st_mode) & 0o777)
            os.fsync(out.fileno())
        if overwrite:
            temporary.replace(target)
        else:
            _name_exclusively(temporary, target)
    finally:
        # After a rename there is nothing to remove; after a link or an error there is.
        with suppress(OSError):
            temporary.unlink()
    _sync_folder(target.parent)


def write_all(fp: IO[bytes], data: bytes | memoryview) -> None:
    """Write all of `data` to a file object, repeating short writes, and flush it.

    Raises BlockingIOError for a non-blocking file that accepts nothing now, UsageError for a file in text
    mode and for an object that is not a file.
    """
    if not hasattr(fp, "write"):
        raise _no_file(fp)
    rest = memoryview(data).cast("B")
    while rest:
        try:
            written: int | None = fp.write(rest)
        except TypeError as error:
            if not hasattr(fp, "encoding"):
                raise
            raise _text_mode("wb") from error
        if written is None and isinstance(fp, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "accepts no data now; use a blocking file")
        if written is None:
            break  # a file-like object whose write() returns no count has taken all
        rest = rest[written:]
    flush = getattr(fp, "flush", None)
    if flush is not None:
        flush()


def read_some(fp: IO[bytes], n_bytes: int) -> bytes:
    """Return up to `n_bytes` bytes from one read of a file object, none at its end.

    Raises BlockingIOError for a non-blocking file without data now, UsageError for a file in text mode and
    for an object that is not a file.
    """
    if not hasattr(fp, "read"):
        raise _no_file(fp)
    try:
        part: object = fp.read(n_bytes)
    except UnicodeDecodeError as error:
        raise _text_mode("rb") from error
    if part is None:
        raise BlockingIOError(errno.EAGAIN, "nothing to read now; use a blocking file")
    if isinstance(part, str):
        raise _text_mode("rb")
    return cast("bytes", part)


def write_into(file: IO[bytes], data: bytes | bytearray | memoryview | Callable[[IO[bytes]], object]) -> None:
    """Write into an open file. data: bytes, or a function that is called with the file, without fileno()."""
    if callable(data):
        data(cast("IO[bytes]", _NoDescriptor(file)))
    else:
        file.write(data)


def _text_mode(mode: str) -> UsageError:
    return UsageError(f"the file is open in text mode; open it with mode {mode!r}", field="fp")


def _no_file(fp: object) -> UsageError:
    return UsageError(f"{type(fp).__name__} is no open file; pass one, such as from open()", field="fp")


class _NoDescriptor:
    """A file without fileno(): Pillow would write to the descriptor and not notice a full disk."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def fileno(self) -> NoReturn:
        """Raise UnsupportedOperation, as files in memory do."""
        raise io.UnsupportedOperation("fileno")

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


class _NoSeeking:
    """A file that is only appended to. Positions count from its position at construction."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._n_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Write all of `data`, possibly into a buffer; return the number of bytes."""
        n_bytes = self._file.write(data)
        self._n_bytes += n_bytes
        return n_bytes

    def tell(self) -> int:
        """Return the number of bytes written through this object."""
        return self._n_bytes

    def seekable(self) -> bool:
        """Return False."""
        return False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Accept a seek to the current position, which some writers do; raise UnsupportedOperation else."""
        if whence != os.SEEK_SET or offset != self._n_bytes:
            raise io.UnsupportedOperation("seek")
        return offset

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def _open_sink(path: Path) -> IO[bytes]:
    """Open a path that is written through.

    A descriptor is duplicated: opening /dev/stdout by name would truncate the file behind it.
    """
    descriptor = descriptor_of(path)
    if descriptor is None:
        # Append: the position of another process's descriptor is not known.
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)), "wb")
    for stream in (sys.stdout, sys.stderr):
        # Keep the order: earlier prints are still in Python's buffer.
        if stream is not None:
            stream.flush()
    return os.fdopen(os.dup(descriptor), "wb")


def _link_by_link(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yield (folder, name) of a path, then of the target of each link that it is."""
    name = os.fspath(path)
    for _ in range(_MAX_LINKS):
        folder, last = os.path.split(name)
        yield folder, last
        try:
            name = os.path.join(folder, os.readlink(name))
        except (OSError, ValueError):
            return


def _is_of_another_process(path: str | Path) -> bool:
    """Return whether a path is a descriptor of another process, below /proc/N/fd.

    Such a path must be written to directly: resolving it would give a file that can be replaced.
    """
    return descriptor_of(path) is None and any(
        last.isdecimal() and re.fullmatch(r"/proc/\d+(/task/\d+)?/fd", os.path.realpath(folder))
        for folder, last in _link_by_link(path)
    )


def _holds_descriptors(folder: str) -> bool:
    """Return whether a folder lists the open descriptors of this process: /dev/fd or /proc/self/fd."""
    place = os.path.realpath(folder)
    if place == "/dev/fd":
        return True
    if not place.startswith("/proc/"):
        return False
    return re.sub(r"/task/\d+/", "/", place) == f"{os.path.realpath('/proc/self')}/fd"


def _check_descriptor(descriptor: int, path: Path) -> None:
    """Raise OSError unless a descriptor is open for writing."""
    import fcntl

    try:
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except (OSError, OverflowError):
        raise OSError(errno.EBADF, "is not open; check its number", str(path)) from None
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    if mode == os.O_RDONLY:
        raise OSError(errno.EBADF, "is open for reading only; name an output", str(path))


def _name_exclusively(temporary: Path, target: Path) -> None:
    """Give `temporary` the name `target`; raise FileExistsError if that name exists, without a race."""
    try:
        try:
            os.link(temporary, target)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
        else:
            return
        # No hard links on this file system (FAT, some network shares): create the name, then rename over it.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError as error:
        raise FileExistsError(errno.EEXIST, "exists already", str(target)) from error
    try:
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            target.unlink()
        raise


def _is_sink(found: os.stat_result) -> bool:
    """Return whether this is a character device such as /dev/null, or a pipe."""
    return stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode)


def _sync_folder(folder: Path) -> None:
    """Sync a folder, where the system can, so that a new name in it survives a power cut."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
