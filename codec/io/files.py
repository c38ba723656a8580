"""Files that appear whole or not at all."""

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
    """Tell whether writing to a path replaces nothing: an open descriptor, a pipe, a character device."""
    if descriptor_of(path) is not None or _is_of_another_process(path):
        return True
    try:
        return _is_sink(os.stat(path))
    except (OSError, ValueError):
        return False


def check_writable(path: Path, *, overwrite: bool = False) -> Path:
    """Return the file that writing to `path` would create, after asking all that can be asked beforehand.

    Symlinks are followed, never replaced; what is written through is returned as it is. Raises
    FileExistsError for any other thing that is there already unless `overwrite`, and other OSErrors for a
    missing or read-only folder, a target that is no file, or a descriptor that is not open for writing.
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
    """Write `data` to `path` so that no reader and no crash ever sees half a file.

    data: bytes, or a function that writes them into the file it is given, which can seek.
    The bytes go to a temporary file in the same folder, are synced, and take their name in one step.
    Without `overwrite`, a file that appears meanwhile wins and FileExistsError is raised. A new file gets
    the mode that the umask asks for; an overwritten one keeps its own. Raises OSError; then nothing is left
    behind and an older file is untouched.
    Pipes, devices and open descriptors (/dev/stdout, /dev/fd/N) are written to directly, from where they
    stand, with or without `overwrite`; a function gets a file that cannot seek there.
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
        # After a rename the name is gone; in every other case the temporary file must go.
        with suppress(OSError):
            temporary.unlink()
    _sync_folder(target.parent)


def write_all(fp: IO[bytes], data: bytes | memoryview) -> None:
    """Write all of `data` to a file object whose write() may take less at a time, and flush it.

    Raises BlockingIOError for a non-blocking file that takes nothing, UsageError for one in text mode and for
    what is no open file.
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
            raise BlockingIOError(errno.EAGAIN, "takes nothing now; use a blocking file")
        if written is None:
            break  # a file-like object that does not say, and takes all
        rest = rest[written:]
    flush = getattr(fp, "flush", None)
    if flush is not None:
        flush()


def read_some(fp: IO[bytes], n_bytes: int) -> bytes:
    """Return at most `n_bytes` of a file object, as many as it gives at once, and none at its end.

    Raises BlockingIOError for a non-blocking file that has none now, UsageError for one in text mode and for
    what is no open file.
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
    """Write into an open file. data: the bytes, or what writes them into a file, which gets no descriptor."""
    if callable(data):
        data(cast("IO[bytes]", _NoDescriptor(file)))
    else:
        file.write(data)


def _text_mode(mode: str) -> UsageError:
    return UsageError(f"the file is open in text mode; open it with mode {mode!r}", field="fp")


def _no_file(fp: object) -> UsageError:
    return UsageError(f"{type(fp).__name__} is no open file; pass one, such as of open()", field="fp")


class _NoDescriptor:
    """A file that hides its descriptor: Pillow would write to that, and not notice a disk that fills up."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def fileno(self) -> NoReturn:
        """Refuse, as files in memory do."""
        raise io.UnsupportedOperation("fileno")

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


class _NoSeeking:
    """A file that only grows: what it had before stays, and positions count from where it stood."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._n_bytes = 0

    def write(self, data: bytes | memoryview) -> int:
        """Write all of `data`, which may stay in a buffer."""
        n_bytes = self._file.write(data)
        self._n_bytes += n_bytes
        return n_bytes

    def tell(self) -> int:
        """Return how many bytes were written here."""
        return self._n_bytes

    def seekable(self) -> bool:
        """Say no."""
        return False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Stay, as some writers ask for, or refuse as pipes do."""
        if whence != os.SEEK_SET or offset != self._n_bytes:
            raise io.UnsupportedOperation("seek")
        return offset

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def _open_sink(path: Path) -> IO[bytes]:
    """Open what is written through. Opening /dev/stdout by its name would cut off what its file holds."""
    descriptor = descriptor_of(path)
    if descriptor is None:
        # At its end: where another process's descriptor stands is not known.
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)), "wb")
    for stream in (sys.stdout, sys.stderr):
        # What was printed before comes before.
        if stream is not None:
            stream.flush()
    return os.fdopen(os.dup(descriptor), "wb")


def _link_by_link(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yield folder and name of a path, then of what it is a link to, and so on."""
    name = os.fspath(path)
    for _ in range(_MAX_LINKS):
        folder, last = os.path.split(name)
        yield folder, last
        try:
            name = os.path.join(folder, os.readlink(name))
        except (OSError, ValueError):
            return


def _is_of_another_process(path: str | Path) -> bool:
    """Tell whether a path names what another process has open: by its own name that could be replaced."""
    return descriptor_of(path) is None and any(
        last.isdecimal() and re.fullmatch(r"/proc/\d+(/task/\d+)?/fd", os.path.realpath(folder))
        for folder, last in _link_by_link(path)
    )


def _holds_descriptors(folder: str) -> bool:
    """Tell whether a folder is where the system shows this process its own descriptors."""
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
    """Give `temporary` the name `target`, failing if that name is taken at this very moment."""
    try:
        try:
            os.link(temporary, target)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
        else:
            return
        # No hard links here (FAT, some network shares): reserve the name, then rename over the reservation.
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
    """Tell whether writing there replaces nothing: a character device such as /dev/null, or a pipe."""
    return stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode)


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the system lets a folder be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
