"""Targets that replace the quality: a size, PSNR or SSIM. Imports neither torch nor numpy."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from codec.errors import UsageError

Kind: TypeAlias = Literal["size", "bpp", "psnr", "ssim"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1000, "kib": 1024, "m": 10**6, "mb": 10**6, "mib": 1 << 20}
_RANGES: dict[str, tuple[float, float]] = {
    "size": (1, 2**40),
    "bpp": (1e-6, 1000),
    "psnr": (1, 100),
    "ssim": (0, 0.999999),
}
# How far below a size a file may stay: this share of it, or so many bytes.
SIZE_SHARE, SIZE_BYTES = 0.01, 16
# How far above its target a picture may come, in dB; of SSIM in dB, too: -10 log10(1 - SSIM).
PSNR_ABOVE = SSIM_ABOVE = 0.05


@dataclass(frozen=True)
class Target:
    """kind: size (bytes of the whole file), bpp (its bits per pixel), psnr (dB) or ssim; value: that.

    Raises UsageError for a value outside its range.
    """

    kind: Kind
    value: float

    def __post_init__(self) -> None:
        """Refuse what no file could have."""
        low, high = _RANGES[self.kind]
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not is_number or not low <= self.value <= high:
            raise UsageError(
                f"target_{self.kind} must be a number from {low:g} to {high:g}, not {self.value!r}",
                field=f"target_{self.kind}",
            )

    @property
    def is_size(self) -> bool:
        """Whether bytes decide, and no picture has to be decoded to know."""
        return self.kind in ("size", "bpp")

    def n_bytes(self, n_pixels: int) -> int:
        """Return the most bytes that a file of so many pixels may have."""
        return int(self.value * n_pixels / 8) if self.kind == "bpp" else int(self.value)

    def __str__(self) -> str:
        unit = {"size": " bytes", "bpp": " bits per pixel", "psnr": " dB PSNR", "ssim": " SSIM"}[self.kind]
        return f"{self.value:.10g}{unit}"


def only_target(
    size: float | str | None, bpp: float | None, psnr: float | None, ssim: float | None
) -> Target | None:
    """Return the one target that is given, or None. Raises UsageError for several."""
    size = parse_size(size) if isinstance(size, str) else size
    kinds: tuple[tuple[Kind, float | None], ...] = (
        ("size", size), ("bpp", bpp), ("psnr", psnr), ("ssim", ssim),
    )  # fmt: skip
    given = [Target(kind, value) for kind, value in kinds if value is not None]
    if len(given) > 1:
        raise UsageError(
            "size, bits per pixel, PSNR and SSIM exclude each other as targets; give one", field="target"
        )
    return given[0] if given else None


def parse_size(text: str) -> int:
    """Read a number of bytes such as 50000, 50kB, 48KiB or 1.5MB. Raises UsageError."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise UsageError(f"{text!r} is no size; write it as 50000, 50kB, 48KiB or 1.5MB", field="target_size")
    return math.floor(float(match[1]) * _UNITS[match[2]])
