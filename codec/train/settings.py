"""Settings of a training run, its learning-rate schedule, and the precision that pays on this machine."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from codec.bitstream.rate_index import RATE_POINTS
from codec.errors import UsageError
from codec.model.config import ModelConfig

# The five scales of MS-SSIM and of the perceptual error need 176 pixels; the next multiple of every z_stride.
STRUCTURE_CROP = 192


@dataclasses.dataclass
class TrainOptions:
    """What a run is made of.

    Attributes:
        images: folder of pictures.
        out: folder of the run.
        minutes: wall-clock budget in all, resumed parts included.
        steps: stop after this many optimiser steps instead, 0 for no such bound.
        batch: crops per step and rank, a multiple of 11.
        crop: side of the crops in pixels, a multiple of the model's z_stride.
        final_crop: side of the crops during the decay.
        learning_rate: of the non-linear parts.
        linear_share: the linear path's learning rate as a share of the others'.
        ema: decay of the weight average.
        luma_share: share of the distortion that is squared error of luma instead of red, green and blue.
        structure_share: share that is 1 - MS-SSIM of luma.
        perceptual_share: share that is the perceptual error over scales in XYB.
        drawn_share: share of the crops that lines, text, flat shapes or noise are drawn over.
        init: undecayed weights to continue from, with a fresh optimiser.
        seed: of everything random.
        model: sizes; empty for the defaults.
    """

    images: str
    out: str
    minutes: float = 60.0
    steps: int = 0
    batch: int = RATE_POINTS
    crop: int = 192
    final_crop: int = 256
    learning_rate: float = 1.5e-3
    linear_share: float = 0.1
    ema: float = 0.999
    luma_share: float = 0.0
    structure_share: float = 0.0
    perceptual_share: float = 0.0
    drawn_share: float = 0.0
    init: str = ""
    seed: int = 1
    model: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            stride = self.config.z_stride
        except (TypeError, ValueError) as error:
            raise UsageError(f"model sizes {self.model!r} are not usable: {error}", field="model") from error
        if self.batch % RATE_POINTS or self.batch <= 0:
            raise UsageError(f"batch must be a multiple of {RATE_POINTS}: one crop for each rate point")
        stride = self.config.z_stride
        if (
            self.crop % stride
            or self.final_crop % stride
            or not stride <= min(self.crop, self.final_crop) <= 512
        ):
            raise UsageError(f"crops must be multiples of {stride} pixels and at most 512")
        if max(self.crop, self.final_crop) > 512:
            raise UsageError("crops must be at most 512 pixels a side")
        if min(self.distortion_shares) < 0 or sum(self.distortion_shares) > 1:
            raise UsageError("shares of the distortion must be 0 or more and at most 1 together")
        over_scales = self.structure_share or self.perceptual_share
        if over_scales and min(self.crop, self.final_crop) < STRUCTURE_CROP:
            raise UsageError(f"errors over scales need crops of at least {STRUCTURE_CROP} pixels a side")
        if not 0 <= self.drawn_share <= 1:
            raise UsageError("the share of crops that are drawn over must be 0 to 1")
        if self.minutes <= 0 and self.steps <= 0:
            raise UsageError("give a budget: minutes or steps above 0")

    @property
    def config(self) -> ModelConfig:
        """Sizes of the model to train."""
        return ModelConfig(**self.model)

    @property
    def distortion_shares(self) -> tuple[float, float, float]:
        """Shares of luma, structure and the perceptual error, in the order that `distortion_of` takes."""
        return self.luma_share, self.structure_share, self.perceptual_share

    @property
    def run(self) -> Path:
        """Folder of the run."""
        return Path(self.out)

    def public(self) -> dict[str, Any]:
        """Return what may be published with the weights: all but the paths of this machine."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in ("images", "out", "init")}

    def to_json(self) -> str:
        """Serialise for the run's folder and for the ranks."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> TrainOptions:
        """Parse what `to_json` wrote."""
        return cls(**json.loads(text))


CPU_TESTS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def bf16_pays(device: torch.device) -> bool:
    """Tell whether `device` has bf16 products of its own; without them torch emulates them, slowly."""
    if device.type == "cuda":
        supported: bool = torch.cuda.is_bf16_supported()
        return supported
    tests = (getattr(torch.cpu, name, None) for name in CPU_TESTS)
    return any(test is not None and bool(test()) for test in tests)


WARM_UP_STEPS = 200
DECAY_SHARE = 0.15
FINAL_SHARE = 0.02


def learning_rate_factor(step: int, progress: float) -> float:
    """Warm-up by step, then constant, then linear decay over the last 15 % of progress, 0..1."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    left = min(1.0, max(0.0, (1.0 - progress) / DECAY_SHARE))
    return warm * (FINAL_SHARE + (1 - FINAL_SHARE) * left)


def is_decaying(progress: float) -> bool:
    """Tell whether the run has entered its decay."""
    return progress >= 1.0 - DECAY_SHARE
