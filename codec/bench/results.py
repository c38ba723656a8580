"""Read and write benchmark results: points of codecs on pictures, versions and machines."""

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

FORMAT = 1
# (codec, quality, SHA-256 of the picture's file)
Key: TypeAlias = tuple[str, int, str]
# Packages that numbers may depend on.
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
    """Return processor, usable cores, architecture and system; nothing that identifies the machine."""
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
    """Return the versions of Python and of the installed packages that numbers may depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Picture:
    """A picture of a run. sha256: of its file. width, height: in pixels."""

    sha256: str
    name: str
    width: int
    height: int


@dataclass(frozen=True)
class CodecFacts:
    """Label, version and settings of a codec in a file of results."""

    label: str
    version: str
    settings: str


@dataclass
class Point:
    """Size and metrics of one picture, encoded by one codec at one quality.

    n_bytes: of the whole file. metrics: values by name; None if a metric is undefined for the picture.
    """

    n_bytes: int
    metrics: dict[str, float | None] = field(default_factory=dict)


@dataclass
class Results:
    """Points by codec, quality and picture, with what they were measured with.

    machines: all machines that added points. versions: of packages in the last run. codecs: by name.
    pictures: by SHA-256.
    """

    machines: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    codecs: dict[str, CodecFacts] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)
    points: dict[Key, Point] = field(default_factory=dict)

    def use(self, name: str, facts: CodecFacts) -> bool:
        """Set the facts of a codec; drop its points and return True if they were made with others."""
        stale = name in self.codecs and self.codecs[name] != facts
        if stale:
            self.points = {key: point for key, point in self.points.items() if key[0] != name}
        self.codecs[name] = facts
        return stale

    def bpp(self, key: Key) -> float:
        """Return the bits per pixel of a point."""
        picture = self.pictures[key[2]]
        return 8 * self.points[key].n_bytes / (picture.width * picture.height)

    def save(self, path: Path) -> None:
        """Write the results, one point per line in a fixed order, so that diffs of the file are readable."""
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
    """Read a file of results. Raises OSError, and BenchmarkError for an invalid file."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise BenchmarkError(
                f"{path}: results of format {stored['format']}, not {FORMAT}; run the benchmark again"
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
