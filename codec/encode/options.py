"""Encode options: effort, targets and regions of interest. Imports neither torch nor numpy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple, Self, TypeAlias, TypedDict, Unpack, get_args

from codec.errors import UsageError
from codec.model.index import check_quality

DEFAULT_QUALITY = 75.0
# Effort 0 is the default: on Kodak, the decisions of effort 1 save 0.2 % by PSNR, lose more by SSIMULACRA2,
# and take three times as long.
DEFAULT_EFFORT, MAX_EFFORT = 0, 9
# Seconds that a picture may take at efforts with iterations, unless another limit is set.
DEFAULT_SECONDS = 60.0

Kind: TypeAlias = Literal["size", "bpp", "psnr", "ssim"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# A file may be smaller than its target size by this share of it or by this many bytes, whichever is more.
SIZE_SHARE, SIZE_BYTES = 0.01, 16
# A picture may exceed its target by this many dB; for SSIM, dB are -10 log10(1 - SSIM).
PSNR_ABOVE = SSIM_ABOVE = 0.05
_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1000, "kib": 1024, "m": 10**6, "mb": 10**6, "mib": 1 << 20}
_RANGES: dict[str, tuple[float, float]] = {
    "size": (1, 2**40),
    "bpp": (1e-6, 1000),
    "psnr": (1, 100),
    "ssim": (0, 0.999999),
}

# Change of quality in a region of interest, unless given.
DEFAULT_BOOST = 30.0
MAX_BOOST = 100.0
# Tiles are smaller than usual in pictures with regions, since a region covers whole tiles.
TILE_LOG2 = 7
_RECTANGLE = re.compile(r"(-?\d+),(-?\d+),(-?\d+),(-?\d+)")

Tune: TypeAlias = Literal["psnr", "visual"]
TUNES = ("psnr", "visual")


class Level(NamedTuple):
    """Work per tile at one effort.

    decides: choose residuals by their table bits and the error of the tile with its rim; else by rounding.
    iterations: number of gradient-descent steps on y and z, which need torch.
    """

    decides: bool
    iterations: int = 0


# One level for each effort. An iteration takes about 1/3 s per megapixel on one core (measured).
LEVELS = (
    Level(False),
    Level(True),
    Level(True, 6),
    Level(True, 10),
    Level(True, 20),
    Level(True, 40),
    Level(True, 64),
    Level(True, 100),
    Level(True, 160),
    Level(True, 256),
)


class Budget(NamedTuple):
    """Time limit and progress of the iterations over one tile.

    seconds: limit, or None for none. tick: called with the share done, 0..1.
    """

    seconds: float | None
    tick: Callable[[float], None]


def level_of(effort: int) -> Level:
    """Return the level of an effort. Raises UsageError unless it is a whole number from 0 to 9."""
    if isinstance(effort, bool) or not isinstance(effort, int) or not 0 <= effort <= MAX_EFFORT:
        raise UsageError(
            f"effort must be a whole number from 0 to {MAX_EFFORT}, not {effort!r}", field="effort"
        )
    return LEVELS[effort]


class TileSettings(NamedTuple):
    """Options that the coding of a tile depends on.

    level: of the effort. visual: minimise perceptual error. gray: the picture is gray.
    """

    level: Level
    visual: bool
    gray: bool


@dataclass(frozen=True)
class Target:
    """A target that replaces the quality.

    kind: 'size' (bytes of the whole file), 'bpp' (bits per pixel of the whole file), 'psnr' (dB) or 'ssim'.
    value: in that unit. Raises UsageError for a value outside its range.
    """

    kind: Kind
    value: float

    def __post_init__(self) -> None:
        """Check the range of the value."""
        low, high = _RANGES[self.kind]
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not is_number or not low <= self.value <= high:
            raise UsageError(
                f"target_{self.kind} must be a number from {low:g} to {high:g}, not {self.value!r}",
                field=f"target_{self.kind}",
            )

    @property
    def is_size(self) -> bool:
        """True if the target is a number of bytes, which is known without decoding the picture."""
        return self.kind in ("size", "bpp")

    def n_bytes(self, n_pixels: int) -> int:
        """Return the greatest number of bytes that a file of n_pixels may have."""
        return int(self.value * n_pixels / 8) if self.kind == "bpp" else int(self.value)

    def __str__(self) -> str:
        unit = {"size": " bytes", "bpp": " bits per pixel", "psnr": " dB PSNR", "ssim": " SSIM"}[self.kind]
        return f"{self.value:.10g}{unit}"


def only_target(
    size: float | str | None, bpp: float | None, psnr: float | None, ssim: float | None
) -> Target | None:
    """Return the one target that is not None, or None. Raises UsageError for more than one."""
    size = parse_size(size) if isinstance(size, str) else size
    kinds: tuple[tuple[Kind, float | None], ...] = (
        ("size", size), ("bpp", bpp), ("psnr", psnr), ("ssim", ssim),
    )  # fmt: skip
    given = [Target(kind, value) for kind, value in kinds if value is not None]
    if len(given) > 1:
        raise UsageError(
            "target size, bits per pixel, PSNR and SSIM exclude each other; give only one", field="target"
        )
    return given[0] if given else None


def parse_size(text: str) -> int:
    """Parse a size such as 50000, 50kB, 48KiB or 1.5MB to bytes, rounded down. Raises UsageError."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise UsageError(
            f"{text!r} is not a size; write it as 50000, 50kB, 48KiB or 1.5MB", field="target_size"
        )
    return math.floor(float(match[1]) * _UNITS[match[2]])


@dataclass(frozen=True)
class Region:
    """A region of interest: part of a picture with higher or lower quality.

    box: x, y, width, height in pixels, or None for a mask. mask: file name of a picture of the same size
    whose samples are the share of the boost at each pixel, white for all of it; empty for a box. boost: added
    to the quality of the picture, -100..100.
    """

    box: tuple[int, int, int, int] | None
    mask: str
    boost: float

    def __str__(self) -> str:
        """Return the text that parse_region parses to this region."""
        name = self.mask if self.box is None else ",".join(map(str, self.box))
        return f"{name}:{self.boost:+}".removesuffix(".0")


def parse_regions(texts: str | tuple[str, ...] | list[str] | None) -> tuple[Region, ...]:
    """Parse one or more regions; None gives (). Raises UsageError."""
    if texts is None:
        return ()
    return tuple(parse_region(text) for text in ([texts] if isinstance(texts, str) else texts))


def parse_region(text: str) -> Region:
    """Parse X,Y,W,H or the file name of a mask, optionally followed by :+Q or :-Q. Raises UsageError."""
    if not isinstance(text, str):
        raise UsageError(f"a region must be a text such as '10,20,300,200:+15', not {text!r}", field="roi")
    match = re.fullmatch(r"(.+?)(?::([+-]\d+(?:\.\d+)?))?", text)
    if match is None:
        raise UsageError("a region is empty; write X,Y,W,H or the name of a mask picture", field="roi")
    boost = DEFAULT_BOOST if match[2] is None else float(match[2])
    if abs(boost) > MAX_BOOST:
        raise UsageError(f"a region's boost must be from -100 to +100, not {boost:g}", field="roi")
    rectangle = _RECTANGLE.fullmatch(match[1])
    if rectangle is None:
        return Region(None, match[1], boost)
    x, y, width, height = (int(part) for part in rectangle.groups())
    if min(x, y) < 0 or min(width, height) < 1:
        raise UsageError(f"{text!r} is not a rectangle X,Y,W,H inside a picture", field="roi")
    return Region((x, y, width, height), "", boost)


class EncodeKeywords(TypedDict, total=False):
    """All options except quality, as keyword arguments; `Encoder` describes each of them."""

    strip: bool
    lossless: bool
    effort: int
    tune: Tune
    seconds: float | None
    roi: str | tuple[str, ...] | None
    target_size: float | str | None
    target_bpp: float | None
    target_psnr: float | None
    target_ssim: float | None


@dataclass(frozen=True)
class EncodeOptions:
    """The checked options of an `Encoder`; hashable, comparable and picklable.

    `EncodeOptions.of` takes the keyword arguments of `Encoder`, which describes them. In this class regions
    of interest are parsed, the four targets are one field, and the default of `seconds` is filled in.
    Raises UsageError for a value outside its range, with the option's name as `field`.
    """

    quality: float = DEFAULT_QUALITY
    _: KW_ONLY
    lossless: bool = False
    strip: bool = False
    effort: int = DEFAULT_EFFORT
    tune: Tune = "psnr"
    seconds: float = DEFAULT_SECONDS
    roi: tuple[Region, ...] = ()
    target: Target | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        check_quality(self.quality)
        level_of(self.effort)
        if self.tune not in TUNES:
            raise UsageError(f"tune must be one of {', '.join(TUNES)}, not {self.tune!r}", field="tune")
        is_number = isinstance(self.seconds, int | float) and not isinstance(self.seconds, bool)
        if not is_number or not self.seconds > 0:
            raise UsageError(f"seconds must be a number above 0, not {self.seconds!r}", field="seconds")
        if not isinstance(self.roi, tuple) or not all(isinstance(region, Region) for region in self.roi):
            raise UsageError(f"roi must be a tuple of Region, not {self.roi!r}", field="roi")
        if self.target is not None and not isinstance(self.target, Target):
            raise UsageError(f"target must be a Target or None, not {self.target!r}", field="target")
        if self.lossless and self.target is not None:
            raise UsageError("lossless and a target exclude each other; give only one", field="lossless")

    @classmethod
    def of(cls, quality: float = DEFAULT_QUALITY, **keywords: Unpack[EncodeKeywords]) -> Self:
        """Return options from the keyword arguments of `Encoder`. Raises UsageError."""
        fields: dict[str, Any] = dict(keywords)
        fields["target"] = only_target(*(fields.pop(f"target_{kind}", None) for kind in KINDS))
        fields["roi"] = parse_regions(fields.get("roi"))
        if fields.get("seconds") is None:
            fields["seconds"] = DEFAULT_SECONDS
        return cls(quality, **fields)

    def record(self) -> dict[str, Any]:
        """Return the options as a dict for JSON; `EncodeOptions.of(**record)` restores them.

        Seconds, regions and target are left out at their defaults.
        """
        plain: dict[str, Any] = {
            "quality": float(self.quality),
            "lossless": self.lossless,
            "strip": self.strip,
            "effort": self.effort,
            "tune": self.tune,
        }
        if self.seconds != DEFAULT_SECONDS:
            plain["seconds"] = self.seconds
        if self.roi:
            plain["roi"] = [str(region) for region in self.roi]
        if self.target is not None:
            plain[f"target_{self.target.kind}"] = self.target.value
        return plain

    def tile_settings(self, *, gray: bool) -> TileSettings:
        """Return the options that the coding of a tile depends on. gray: True if the picture is gray."""
        level, visual = LEVELS[self.effort], self.tune == "visual"
        # Perceptual decisions replace those of a level without iterations, so nothing of the level remains.
        if visual and not level.iterations:
            level = LEVELS[0]
        return TileSettings(level, visual, gray)
