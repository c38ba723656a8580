"""Encode options: effort, targets and regions of interest. Imports neither torch nor numpy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple, Self, TypeAlias, TypedDict, Unpack, get_args

from codec.errors import UsageError
from codec.model.index import check_quality

# Measured on Kodak: decisions save 0.2 % by PSNR, lose more by SSIMULACRA2, and take three times as long.
DEFAULT_EFFORT, MAX_EFFORT = 0, 9


class Level(NamedTuple):
    """What an encoder may spend on a tile.

    decides: by real bits and by the error in pixels, with what lies around a tile; else by rounding.
    iterations: of gradient descent on y and z, which takes torch.
    """

    decides: bool
    iterations: int = 0


# Measured: an iteration takes a third of a second of one core for a megapixel.
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
# What a picture may take at levels with iterations, unless another budget is set.
DEFAULT_SECONDS = 60.0


class Budget(NamedTuple):
    """seconds: for the iterations of one tile; None for no limit. tick: called with the share done."""

    seconds: float | None
    tick: Callable[[float], None]


def level_of(effort: int) -> Level:
    """Return what an effort stands for. Raises UsageError unless it is a whole number from 0 to 9."""
    if isinstance(effort, bool) or not isinstance(effort, int) or not 0 <= effort <= MAX_EFFORT:
        raise UsageError(
            f"effort must be a whole number from 0 to {MAX_EFFORT}, not {effort!r}", field="effort"
        )
    return LEVELS[effort]


class TileSettings(NamedTuple):
    """level: of effort. visual: by perceptual error. gray: the picture is."""

    level: Level
    visual: bool
    gray: bool


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


DEFAULT_BOOST = 30.0
MAX_BOOST = 100.0
TUNES = ("psnr", "visual")
# Regions are kept to by whole tiles, so these are smaller than usual.
TILE_LOG2 = 7

_RECTANGLE = re.compile(r"(-?\d+),(-?\d+),(-?\d+),(-?\d+)")


@dataclass(frozen=True)
class Region:
    """Part of a picture that gets more quality, or less.

    box: x, y, width, height in pixels, or None for a mask. mask: name of a picture of the same size whose
    samples say how much of the boost each pixel gets, white all of it; empty for a box. boost: added to the
    user's quality, -100..100.
    """

    box: tuple[int, int, int, int] | None
    mask: str
    boost: float

    def __str__(self) -> str:
        """Return the text that parse_region reads as this region."""
        name = self.mask if self.box is None else ",".join(map(str, self.box))
        return f"{name}:{self.boost:+}".removesuffix(".0")


def parse_regions(texts: str | tuple[str, ...] | list[str] | None) -> tuple[Region, ...]:
    """Read one or more regions. Raises UsageError."""
    if texts is None:
        return ()
    return tuple(parse_region(text) for text in ([texts] if isinstance(texts, str) else texts))


def parse_region(text: str) -> Region:
    """Read X,Y,W,H or the name of a mask picture, with :+Q or :-Q behind it. Raises UsageError."""
    if not isinstance(text, str):
        raise UsageError(f"a region is a text such as '10,20,300,200:+15', not {text!r}", field="roi")
    match = re.fullmatch(r"(.+?)(?::([+-]\d+(?:\.\d+)?))?", text)
    if match is None:
        raise UsageError("an empty region; write X,Y,W,H or name a mask picture", field="roi")
    boost = DEFAULT_BOOST if match[2] is None else float(match[2])
    if abs(boost) > MAX_BOOST:
        raise UsageError(f"a region's boost must be from -100 to +100, not {boost:g}", field="roi")
    rectangle = _RECTANGLE.fullmatch(match[1])
    if rectangle is None:
        return Region(None, match[1], boost)
    x, y, width, height = (int(part) for part in rectangle.groups())
    if min(x, y) < 0 or min(width, height) < 1:
        raise UsageError(f"{text!r} is no rectangle inside a picture", field="roi")
    return Region((x, y, width, height), "", boost)


Tune: TypeAlias = Literal["psnr", "visual"]

DEFAULT_QUALITY = 75.0


class EncodeKeywords(TypedDict, total=False):
    """The options beside quality as keyword arguments; `Encoder` describes each of them."""

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
    """The options of an `Encoder`, checked; hashable, comparable and picklable.

    `EncodeOptions.of` takes the keyword arguments of `Encoder`, which describes them. Here regions of
    interest are parsed, the four targets are one field, and `seconds` has its default filled in.
    Raises UsageError with the option's name as `field` for a value outside its range.
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
            raise UsageError("lossless leaves nothing to aim at; drop it or the target", field="lossless")

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
        """Return the options as values that JSON can hold; `EncodeOptions.of(**record)` reads them back.

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
        """Return what the coding of a tile needs of the options. gray: whether the picture is."""
        level, visual = LEVELS[self.effort], self.tune == "visual"
        # Without iterations, the visual decisions replace those of the level: it has nothing left to do.
        if visual and not level.iterations:
            level = LEVELS[0]
        return TileSettings(level, visual, gray)
