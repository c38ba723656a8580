"""Curves that others published: drawn beside the measured ones, never mixed with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from codec.bench.curves import Curve, decibel, rising
from codec.errors import BenchmarkError


@dataclass(frozen=True)
class Published:
    """A published codec: its name, where its points come from, and a curve for each metric it has."""

    name: str
    what: str
    source: str
    curves: dict[str, Curve]


def load_published(path: Path) -> list[Published]:
    """Read a file of published points. Raises OSError, or BenchmarkError for a file of another kind."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return [Published(row["name"], row["what"], row["source"], _curves(row)) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: not a file of published points ({error!r}); name another") from error


def _curves(row: dict[str, list[float]]) -> dict[str, Curve]:
    curves = {"psnr_rgb": rising(row["bpp"], row["psnr_rgb"])}
    if "ms_ssim" in row:
        curves["ms_ssim"] = rising(row["bpp"], [decibel(value) for value in row["ms_ssim"]])
    return curves
