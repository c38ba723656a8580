"""Tasks, options and results of a batch. All are picklable, for workers in other processes or machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from codec.encode.options import EncodeOptions
from codec.io.processes import WorkerDied
from codec.io.storage import Stamp
from codec.limits import DEFAULT_LIMITS, Limits


class Status(StrEnum):
    """Outcome of a file."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    SET_ASIDE = "set aside"


@dataclass(frozen=True)
class Task:
    """One picture and its .vae file, as paths or URLs.

    mirrored: create the folders of the output. replace: the output was written by an earlier run and may be
    replaced. error: reason why the picture must not be opened, or None.
    """

    source: str
    target: str
    mirrored: bool = False
    replace: bool = False
    error: OSError | None = None


@dataclass(frozen=True)
class RunOptions:
    """Options of a run for all its files.

    encoding: encoder options. overwrite: replace existing outputs. skip_existing: keep existing outputs and
    report status skipped. adopt: accept an existing output with the same bytes as the new one, which a killed
    run may have written without recording it. verify: read back and decode every output. threads: threads per
    picture; None for one per core. limits: limits on the pictures.
    """

    encoding: EncodeOptions = field(default_factory=EncodeOptions)
    overwrite: bool = False
    skip_existing: bool = False
    adopt: bool = False
    verify: bool = False
    threads: int | None = 1
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True)
class Result:
    """Result of one file.

    status: done; skipped (the output exists, or the manifest records it as done); failed; or set aside (its
    worker process died twice, and it is not tried again). width, height: pixels. input_bytes, output_bytes:
    file sizes. warnings: parts of the picture that are not kept. tries: number of tries. stamp: size and
    modification time of a local source before it was read. verified: whether the output was read back and
    decoded. error: reason of the failure, or None.
    """

    source: str
    target: str
    status: Status
    width: int = 0
    height: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    warnings: tuple[str, ...] = ()
    tries: int = 1
    stamp: Stamp | None = None
    verified: bool = False
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Return whether the output exists: status done or skipped."""
        return self.status in (Status.DONE, Status.SKIPPED)

    def record(self) -> dict[str, Any]:
        """Return the result as a JSON object, as in manifests and with --json."""
        entry: dict[str, Any] = {"file": self.source, "output": self.target, "status": str(self.status)}
        if self.status is Status.DONE:
            entry |= {
                "width": self.width,
                "height": self.height,
                "input_bytes": self.input_bytes,
                "bytes": self.output_bytes,
                "bpp": round(8 * self.output_bytes / (self.width * self.height), 4),
                "verified": self.verified,
            }
        if self.warnings:
            entry["warnings"] = list(self.warnings)
        if self.error is not None:
            entry |= {"error": type(self.error).__name__, "message": str(self.error)}
        if self.status is not Status.SKIPPED:
            entry["tries"] = self.tries
        if self.stamp is not None:
            entry["mtime_ns"] = self.stamp.mtime_ns
        return entry


def failure(task: Task, error: Exception, tries: int = 1, status: Status = Status.FAILED) -> Result:
    """Return the result of a file that could not be compressed."""
    return Result(task.source, task.target, status, tries=tries, error=error)


def set_aside(task: Task, how: str, tries: int) -> Result:
    """Return the result of a file whose worker died at every try. how: how it ended, such as SIGKILL."""
    error = WorkerDied(f"{task.source}: its worker process died ({how}) at {tries} tries; set aside")
    return failure(task, error, tries, Status.SET_ASIDE)
