"""The index of shipped models: ids, files, hashes, and quality by rate index. Imports no numpy."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
import json
import math
import os
from pathlib import Path
from typing import Any

from codec.bitstream.rate_index import MAX_RATE_INDEX
from codec.errors import UnknownModel, UsageError, WeightsError

FOLDER_VARIABLE = "VAEZIP_MODEL_DIR"
INDEX = "index.json"
ID_BYTES = 4


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One model of the index.

    Attributes:
        model_id: the 4 bytes that streams name.
        name: for people.
        file: weights file in the same folder.
        sha256: of that file.
        calibration: pairs (quality 0..100, rate index 0..2560), both rising.
        training: record of the run that made it.
        graphs: file and sha256 of its graphs for onnxruntime, if it was exported with such.
    """

    model_id: bytes
    name: str
    file: str
    sha256: str
    calibration: tuple[tuple[float, int], ...]
    training: dict[str, Any]
    graphs: tuple[str, str] | None = None


def select_folder(folder: Path) -> None:
    """Use another folder of weights in this process from now on; models already loaded stay."""
    os.environ[FOLDER_VARIABLE] = str(folder)


def weights_folder() -> Path:
    """Folder of the weights: the package's own, or the one that VAEZIP_MODEL_DIR names."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else Path(__file__).parent.parent / "weights"


@functools.cache
def _read_index(folder: Path) -> tuple[bytes, dict[str, ModelEntry]]:
    path = folder / INDEX
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        entries = {key: _parse_entry(key, value) for key, value in stored["models"].items()}
        default = stored["default"]
        if default not in entries:
            raise ValueError(f"its default {default!r} is none of its models")
        return bytes.fromhex(default), entries
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: not a usable index of weights ({error}); reinstall vaezip") from error


def _parse_entry(key: str, value: dict[str, Any]) -> ModelEntry:
    model_id = bytes.fromhex(key)
    calibration = tuple((float(q), int(r)) for q, r in value["calibration"])
    if len(model_id) != ID_BYTES:
        raise ValueError(f"model id {key!r} is not of {ID_BYTES} bytes")
    rising = all(q0 < q1 and r0 < r1 for (q0, r0), (q1, r1) in itertools.pairwise(calibration))
    if len(calibration) < 2 or not rising or calibration[0][1] < 0 or calibration[-1][1] > MAX_RATE_INDEX:
        raise ValueError(f"calibration of model {key} does not rise from 0 to at most {MAX_RATE_INDEX}")
    graphs = (value["graphs"]["file"], value["graphs"]["sha256"]) if "graphs" in value else None
    return ModelEntry(
        model_id, value["name"], value["file"], value["sha256"], calibration, value["training"], graphs
    )


def default_model_id() -> bytes:
    """Return the model that new files use."""
    return _read_index(weights_folder())[0]


def model_entry(model_id: bytes) -> ModelEntry:
    """Look a model up. Raises UnknownModel when its weights are not installed."""
    entries = _read_index(weights_folder())[1]
    if model_id.hex() not in entries:
        known = ", ".join(sorted(entries))
        raise UnknownModel(f"model {model_id.hex()} is not installed (installed: {known}); update vaezip")
    return entries[model_id.hex()]


LOWEST, HIGHEST = 0.0, 100.0


def check_quality(quality: float) -> None:
    """Raise UsageError unless a quality is a number from 0 to 100."""
    if isinstance(quality, bool) or not isinstance(quality, int | float) or not math.isfinite(quality):
        raise UsageError(f"quality must be a number from 0 to 100, not {quality!r}", field="quality")
    if not LOWEST <= quality <= HIGHEST:
        raise UsageError(f"quality must be from 0 to 100, not {quality:g}", field="quality")


def to_rate_index(quality: float, entry: ModelEntry) -> int:
    """Rate index of a quality, along the model's calibration; constant beyond its ends. Raises UsageError."""
    check_quality(quality)
    points = entry.calibration
    if quality <= points[0][0]:
        return points[0][1]
    if quality >= points[-1][0]:
        return points[-1][1]
    index = bisect.bisect_right([q for q, _ in points], quality) - 1
    (q0, r0), (q1, r1) = points[index], points[index + 1]
    return round(r0 + (r1 - r0) * (quality - q0) / (q1 - q0))


def from_rate_index(rate_index: int, entry: ModelEntry) -> float:
    """Quality that gives this rate index; at a clamped end, the quality where the clamping begins."""
    points = entry.calibration
    if rate_index <= points[0][1]:
        return points[0][0]
    for (q0, r0), (q1, r1) in itertools.pairwise(points):
        if rate_index <= r1:
            return q0 + (q1 - q0) * (rate_index - r0) / (r1 - r0)
    return points[-1][0]


def clamped_below(entry: ModelEntry) -> float:
    """Quality at and below which files are all the same."""
    return entry.calibration[0][0]


def clamped_above(entry: ModelEntry) -> float:
    """Quality at and above which files are all the same."""
    return entry.calibration[-1][0]


def write_index(folder: Path, index: dict[str, Any]) -> None:
    """Write the index of a weights folder by temporary file and rename."""
    partial = folder / f"{INDEX}.part"
    partial.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / INDEX)
