"""Manifest: a journal of results, one JSON object per line, from which an interrupted run resumes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from codec.batch.task import Result, RunOptions, Status, Task
from codec.encode.options import EncodeOptions
from codec.errors import UsageError
from codec.io.storage import local_path, stamp
from codec.model.index import default_model_id

if TYPE_CHECKING:
    from types import TracebackType

_VERSION = 1
_SYNC_EVERY_S = 1.0


class Manifest:
    """The journal at `path`, of this run and of the earlier runs that it resumes. Use as a context manager.

    A line is appended when a file ends, and is synced to disk within a second, or at once by `sync`. A line
    truncated by a crash is dropped, and its file is compressed again. Files set aside by an earlier run stay
    so unless `retry`.
    Raises UsageError for a manifest made with other options or used by another run, OSError.
    """

    def __init__(self, path: str | os.PathLike[str], options: RunOptions, *, retry: bool = False) -> None:
        self._path = Path(path)
        self._encoding = options.encoding
        self._retry = retry
        self._ended: dict[tuple[str, str], dict[str, Any]] = {}
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        # Append mode: processes that share the file by mistake do not overwrite each other's lines.
        self._file: BinaryIO = self._path.open("a+b")
        try:
            _lock(self._file, self._path)
            self._load()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync()
        self._file.close()

    def earlier(self, task: Task) -> Result | None:
        """Return the result of a file in an earlier run, or None if it has to be compressed."""
        entry = self._ended.get((task.source, task.target))
        if entry is None:
            return None
        if entry["status"] == Status.DONE:
            return Result(task.source, task.target, Status.SKIPPED) if _still_holds(task, entry) else None
        if self._retry:
            return None
        error = UsageError(f"{task.source}: was set aside by an earlier run; --retry tries it again")
        return Result(task.source, task.target, Status.SET_ASIDE, tries=int(entry["tries"]), error=error)

    def wrote_output(self, task: Task) -> bool:
        """Return whether the existing output was written by an earlier run, and may be replaced."""
        entry = self._ended.get((task.source, task.target))
        return entry is not None and entry["status"] == Status.DONE and _is_there(task.target, entry)

    def add(self, result: Result) -> None:
        """Append the line of one result."""
        self._write(result.record())
        if time.monotonic() - self._synced > _SYNC_EVERY_S:
            self.sync()

    def sync(self) -> None:
        """Write all lines to disk before returning."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()

    def _load(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        n_complete = data.rfind(b"\n") + 1
        lines = data[:n_complete].splitlines()
        first = _parse(lines[0]) if lines else None
        # A first line truncated by a crash begins like this, or is shorter.
        start = b'{"vaezip_manifest": '
        is_new = not lines and data.startswith(start[: len(data)])
        if not is_new and (first is None or first.get("vaezip_manifest") != _VERSION):
            raise UsageError(f"{self._path}: is no manifest of this release; choose another name")
        if n_complete < len(data):
            self._file.truncate(n_complete)
        if first is None:
            self._write({"vaezip_manifest": _VERSION, "settings": _settings(self._encoding)})
            return
        if not _are_settings(first.get("settings"), self._encoding):
            raise UsageError(
                f"{self._path}: was made with other settings ({json.dumps(first.get('settings'))}); "
                "use those, or another manifest"
            )
        for line in lines[1:]:
            entry = _parse(line)
            if entry is not None and entry.get("status") in (Status.DONE, Status.SET_ASIDE):
                self._ended[entry["file"], entry["output"]] = entry


def _settings(encoding: EncodeOptions) -> dict[str, Any]:
    """Return the settings that determine the bytes of an output, as stored in a manifest's first line."""
    return {**encoding.record(), "model": default_model_id().hex()}


def _are_settings(stored: Any, encoding: EncodeOptions) -> bool:
    """Return whether stored settings are equal to `encoding` and the current model."""
    if not isinstance(stored, dict) or stored.get("model") != default_model_id().hex():
        return False
    keywords = {name: value for name, value in stored.items() if name != "model"}
    try:
        return EncodeOptions.of(**keywords) == encoding
    except (UsageError, TypeError):  # written by another release, or by hand
        return False


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _still_holds(task: Task, entry: dict[str, Any]) -> bool:
    """Return whether a done file is unchanged: size and time of a local source, size of a local output.

    URLs are not checked.
    """
    try:
        now = stamp(task.source)
    except FileNotFoundError:
        now = None  # removed by --rm
    if now is not None and (now.n_bytes, now.mtime_ns) != (entry["input_bytes"], entry["mtime_ns"]):
        return False
    return _is_there(task.target, entry)


def _is_there(target: str, entry: dict[str, Any]) -> bool:
    """Return whether a local output exists with the recorded size; True for a URL."""
    path = local_path(target)
    return path is None or (os.path.isfile(path) and os.path.getsize(path) == entry["bytes"])


def _lock(file: BinaryIO, path: Path) -> None:
    """Lock the manifest; raise UsageError if another run has locked it. Does nothing without fcntl."""
    try:
        import fcntl
    except ModuleNotFoundError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{path}: another run is using this manifest; wait for it, or use another") from None
