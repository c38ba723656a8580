"""What a worker is told, and what it tells back. All of it can cross to another process or machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from codec.encode.options import EncodeOptions
from codec.io.processes import WorkerDied
from codec.io.storage import Stamp
from codec.limits import DEFAULT_LIMITS, Limits


class Status(StrEnum):
    """How a file ended."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    SET_ASIDE = "set aside"


@dataclass(frozen=True)
class Task:
    """One picture and the .vae file it becomes; paths or URLs.

    mirrored: make the output's folders. replace: the output is this file's own from an earlier run.
    error: why the picture is not to be opened at all.
    """

    source: str
    target: str
    mirrored: bool = False
    replace: bool = False
    error: OSError | None = None


@dataclass(frozen=True)
class RunOptions:
    """How the files of a run are treated. encoding: how their pictures are encoded.

    overwrite: replace outputs that exist. skip_existing: leave them, and count that as no failure.
    adopt: take an output that exists already for this file's own if it has the very bytes that would be
    written, as a run leaves them that was killed before it could say so. verify: read every output back
    and decode it. threads: of one picture; None for one for each core. limits: for pictures read.
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
    """What became of one file.

    status: done, skipped (the output was there, or the manifest says it is done), failed, or set aside: it
    ended its worker twice, and is not tried again. width, height: pixels. input_bytes, output_bytes: sizes of
    the two files. warnings: what of the picture is not kept. tries: how often it was begun. stamp: size and
    time of change of a local source, taken before it was read. verified: whether the output was read back and
    decoded. error: why it failed.
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
        """Whether the output is there."""
        return self.status in (Status.DONE, Status.SKIPPED)

    def record(self) -> dict[str, Any]:
        """Return this as one JSON object, the one of manifests and of --json."""
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
    """Return the result of a file that ended its worker at every try. how: such as SIGKILL."""
    error = WorkerDied(f"{task.source}: ended its worker ({how}) at {tries} tries; set aside")
    return failure(task, error, tries, Status.SET_ASIDE)
