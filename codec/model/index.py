"""The index of shipped models: ids, files, hashes, and calibration of quality. Does not import numpy."""

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

from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX
from codec.errors import UnknownModel, UsageError, WeightsError

# Environment variable that replaces the folder of weights.
FOLDER_VARIABLE = "VAEZIP_MODEL_DIR"
INDEX = "index.json"
ID_BYTES = 4
# Range of the quality.
LOWEST, HIGHEST = 0.0, 100.0


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """One model of the index.

    Attributes:
        model_id: the 4 bytes in files that name the model.
        name: for display.
        file: weights file in the same folder.
        sha256: of that file, as hex.
        calibration: pairs (quality, rate index 0..3840), both increasing, from quality 0 to 100.
        training: record of the training run.
        graphs: file and sha256 of the graphs for onnxruntime, or None if exported without.
    """

    model_id: bytes
    name: str
    file: str
    sha256: str
    calibration: tuple[tuple[float, int], ...]
    training: dict[str, Any]
    graphs: tuple[str, str] | None = None


def select_folder(folder: Path) -> None:
    """Use another folder of weights in this process from now on; loaded models stay loaded."""
    os.environ[FOLDER_VARIABLE] = str(folder)


def weights_folder() -> Path:
    """Return the folder of weights: the one in VAEZIP_MODEL_DIR, else that of the package."""
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
            raise ValueError(f"the default {default!r} is not one of its models")
        return bytes.fromhex(default), entries
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: the index of weights is invalid ({error}); reinstall vaezip") from error


def _parse_entry(key: str, value: dict[str, Any]) -> ModelEntry:
    model_id = bytes.fromhex(key)
    calibration = tuple((float(q), int(r)) for q, r in value["calibration"])
    if len(model_id) != ID_BYTES:
        raise ValueError(f"model id {key!r} does not have {ID_BYTES} bytes")
    rising = all(q0 < q1 and r0 < r1 for (q0, r0), (q1, r1) in itertools.pairwise(calibration))
    if (
        len(calibration) < 2
        or not rising
        or calibration[0][1] < 0
        or calibration[-1][1] > MAX_HEADER_RATE_INDEX
    ):
        raise ValueError(f"calibration of model {key} does not increase within 0..{MAX_HEADER_RATE_INDEX}")
    graphs = (value["graphs"]["file"], value["graphs"]["sha256"]) if "graphs" in value else None
    return ModelEntry(
        model_id, value["name"], value["file"], value["sha256"], calibration, value["training"], graphs
    )


def default_model_id() -> bytes:
    """Return the id of the model that new files use."""
    return _read_index(weights_folder())[0]


def model_entry(model_id: bytes) -> ModelEntry:
    """Return the entry of a model. Raises UnknownModel if its weights are not installed."""
    entries = _read_index(weights_folder())[1]
    if model_id.hex() not in entries:
        known = ", ".join(sorted(entries))
        raise UnknownModel(f"model {model_id.hex()} is not installed (installed: {known}); update vaezip")
    return entries[model_id.hex()]


def check_quality(quality: float) -> None:
    """Raise UsageError unless a quality is a number from 0 to 100."""
    if isinstance(quality, bool) or not isinstance(quality, int | float) or not math.isfinite(quality):
        raise UsageError(f"quality must be a number from 0 to 100, not {quality!r}", field="quality")
    if not LOWEST <= quality <= HIGHEST:
        raise UsageError(f"quality must be from 0 to 100, not {quality:g}", field="quality")


def to_rate_index(quality: float, entry: ModelEntry) -> int:
    """Return the rate index of a quality by the calibration. Raises UsageError."""
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
    """Return the quality of a rate index; beyond an end of the calibration, the quality at that end."""
    points = entry.calibration
    if rate_index <= points[0][1]:
        return points[0][0]
    for (q0, r0), (q1, r1) in itertools.pairwise(points):
        if rate_index <= r1:
            return q0 + (q1 - q0) * (rate_index - r0) / (r1 - r0)
    return points[-1][0]


def write_index(folder: Path, index: dict[str, Any]) -> None:
    """Write the index of a weights folder to a temporary file and rename it."""
    partial = folder / f"{INDEX}.part"
    partial.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, folder / INDEX)
