"""Benchmark results: every point of every codec on every picture, and the machine."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

from codec.errors import BenchmarkError
from codec.io.files import write_atomic

_PACKAGES = (
    "vaezip",
    "torch",
    "onnxruntime",
    "compressai",
    "numpy",
    "pillow",
    "constriction",
    "pillow-jxl-plugin",
    "pytorch-msssim",
    "ssimulacra2",
    "bjontegaard",
)


def machine() -> dict[str, str | int]:
    """Processor, cores this process may use, and system; nothing that names the machine itself."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu_model(),
        "cores": len(affinity(0)) if affinity else (os.cpu_count() or 1),
        "architecture": platform.machine(),
        "system": platform.system(),
    }


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or "unknown"


def versions() -> dict[str, str]:
    """Version of Python and of every package that numbers may depend on, as far as installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


FORMAT = 1
# Codec, quality, SHA-256 of the picture's file.
Key: TypeAlias = tuple[str, int, str]


@dataclass(frozen=True)
class Picture:
    """A picture of the run; sha256 is that of its file."""

    sha256: str
    name: str
    width: int
    height: int


@dataclass(frozen=True)
class CodecFacts:
    """What a codec's points in this file were made with."""

    label: str
    version: str
    settings: str


@dataclass
class Point:
    """Size and metrics of one picture, encoded by one codec at one quality.

    n_bytes: of the whole file. metrics: values by name; None where a metric is not defined for the picture.
    """

    n_bytes: int
    metrics: dict[str, float | None] = field(default_factory=dict)


@dataclass
class Results:
    """Points by codec, quality and picture, with the facts that they rest on.

    machines: every machine that added points; versions: packages of the last run.
    """

    machines: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    codecs: dict[str, CodecFacts] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    points: dict[Key, Point] = field(default_factory=dict)

    def use(self, name: str, facts: CodecFacts) -> bool:
        """Note what a codec is about to run with; tell whether that made points of another version go."""
        stale = name in self.codecs and self.codecs[name] != facts
        if stale:
            self.points = {key: point for key, point in self.points.items() if key[0] != name}
        self.codecs[name] = facts
        return stale

    def bpp(self, key: Key) -> float:
        """Bits per pixel of a point."""
        picture = self.pictures[key[2]]
        return 8 * self.points[key].n_bytes / (picture.width * picture.height)

    def save(self, path: Path) -> None:
        """Write the file whole, points in a fixed order and one a line, so that versions can be compared."""
        order = {sha256: place for place, sha256 in enumerate(self.pictures)}
        keys = sorted(self.points, key=lambda key: (key[0], order[key[2]], key[1]))
        rows = [
            {
                "codec": key[0],
                "quality": key[1],
                "picture": self.pictures[key[2]].name,
                "bytes": point.n_bytes,
            }
            | point.metrics
            for key, point in ((key, self.points[key]) for key in keys)
        ]
        head = {
            "format": FORMAT,
            "machines": self.machines,
            "versions": self.versions,
            "codecs": {name: asdict(facts) for name, facts in sorted(self.codecs.items())},
            "pictures": [asdict(picture) for picture in self.pictures.values()],
        }
        text = json.dumps(head, indent=1)[:-2]
        lines = ",\n  ".join(json.dumps(row) for row in rows)
        write_atomic(path, f'{text},\n "points": [\n  {lines}\n ]\n}}\n'.encode(), overwrite=True)


def load_results(path: Path) -> Results:
    """Read a file of results. Raises OSError, or BenchmarkError for a file of another kind."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise BenchmarkError(
                f"{path}: results of format {stored['format']}, not {FORMAT}; run them again"
            )
        pictures = [Picture(**row) for row in stored["pictures"]]
        sha256 = {picture.name: picture.sha256 for picture in pictures}
        points = {}
        for row in stored["points"]:
            key = row.pop("codec"), row.pop("quality"), sha256[row.pop("picture")]
            points[key] = Point(row.pop("bytes"), row)
        return Results(
            stored["machines"],
            stored["versions"],
            {name: CodecFacts(**facts) for name, facts in stored["codecs"].items()},
            {picture.sha256: picture for picture in pictures},
            points,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, BenchmarkError):
            raise
        raise BenchmarkError(f"{path}: not a file of results ({error!r}); name another") from error
