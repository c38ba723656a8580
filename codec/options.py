"""How pictures are encoded: all that decides about the bytes of a file. Imports neither torch nor numpy."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, Self, TypeAlias, TypedDict, Unpack

from codec.effort.levels import DEFAULT_EFFORT, DEFAULT_SECONDS, LEVELS, level_of
from codec.effort.settings import TileSettings
from codec.errors import UsageError
from codec.model.quality import check_quality
from codec.ratecontrol.roi import TUNES, Region, parse_regions
from codec.ratecontrol.target import KINDS, Target, only_target

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
