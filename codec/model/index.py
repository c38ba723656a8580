"""The index of shipped weights: ids, files, hashes, calibration of quality. Never imports torch or numpy."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
from pathlib import Path
from typing import Any

from codec.bitstream.quality import MAX_RATE_INDEX
from codec.errors import UnknownModel, WeightsError

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
