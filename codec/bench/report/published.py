"""Curves that others published: drawn beside the measured ones, never mixed with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from codec.bench.curves import Curve, decibel, rising
from codec.bench.results import Results
from codec.data.fetch import DATA_SETS
from codec.errors import BenchmarkError


@dataclass(frozen=True)
class Published:
    """A published codec: its name, where its points come from, and a curve for each metric it has."""

    name: str
    what: str
    source: str
    curves: dict[str, Curve]


def load_published(path: Path, results: Results) -> list[Published]:
    """Read a file of published points, to be shown beside results on the same pictures.

    Raises OSError, or BenchmarkError for a file of another kind or for results on other pictures.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        rows, name = stored["rows"], stored["data_set"]
        if set(results.pictures) != set(DATA_SETS[name].sha256().values()):
            raise BenchmarkError(f"{path}: is of all pictures of {name}, and the results are of others")
        return [Published(row["name"], row["what"], row["source"], _curves(row)) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: not a file of published points ({error!r}); name another") from error


def _curves(row: dict[str, list[float]]) -> dict[str, Curve]:
    curves = {"psnr_rgb": rising(row["bpp"], row["psnr_rgb"])}
    if "ms_ssim" in row:
        curves["ms_ssim"] = rising(row["bpp"], [decibel(value) for value in row["ms_ssim"]])
    return curves
