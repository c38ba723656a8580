"""Options of a training run, its learning-rate schedule, the choice of bf16, and the start of its ranks."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from codec.bitstream.rate_index import RATE_POINTS
from codec.errors import TrainingError, UsageError
from codec.model.config import ModelConfig

# Least side of crops for MS-SSIM and the perceptual error: their five scales need 176 pixels; this is the
# next multiple of every z_stride.
STRUCTURE_CROP = 192
# Functions of torch.cpu that report bf16 products.
CPU_TESTS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


@dataclasses.dataclass
class TrainOptions:
    """The options of a training run. Raises UsageError for invalid values.

    Attributes:
        images: folder of pictures.
        out: folder of the run.
        minutes: wall-clock time of the whole run, resumed parts included.
        steps: stop after this many optimiser steps, whatever the time; 0 for no such limit.
        batch: crops per step and rank, a multiple of 11.
        crop: side of the crops in pixels, a multiple of the model's z_stride.
        final_crop: side of the crops during the decay.
        learning_rate: of the non-linear layers.
        linear_share: learning rate of the linear path, as a share of learning_rate.
        ema: decay of the weight average.
        luma_share: share of the distortion that is squared error of luma instead of red, green and blue.
        structure_share: share that is 1 - MS-SSIM of luma.
        perceptual_share: share that is the perceptual error over scales in XYB.
        drawn_share: share of the crops with lines, text, flat shapes or noise drawn over them.
        init: undecayed weights to continue from, with a fresh optimiser.
        seed: of all random numbers.
        model: fields of ModelConfig that differ from the defaults.
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
            raise UsageError(f"model sizes {self.model!r} are invalid: {error}", field="model") from error
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
            raise UsageError("shares of the distortion must be at least 0 and add up to at most 1")
        over_scales = self.structure_share or self.perceptual_share
        if over_scales and min(self.crop, self.final_crop) < STRUCTURE_CROP:
            raise UsageError(
                f"structure and perceptual shares need crops of at least {STRUCTURE_CROP} pixels"
            )
        if not 0 <= self.drawn_share <= 1:
            raise UsageError("the share of crops drawn over must be from 0 to 1")
        if self.minutes <= 0 and self.steps <= 0:
            raise UsageError("give minutes or steps above 0")

    @property
    def config(self) -> ModelConfig:
        """Sizes of the model to train."""
        return ModelConfig(**self.model)

    @property
    def distortion_shares(self) -> tuple[float, float, float]:
        """Shares of luma, structure and perceptual error, in the order of `distortion_of`."""
        return self.luma_share, self.structure_share, self.perceptual_share

    @property
    def run(self) -> Path:
        """Folder of the run."""
        return Path(self.out)

    def public(self) -> dict[str, Any]:
        """Return the options without paths, for publication with the weights."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in ("images", "out", "init")}

    def to_json(self) -> str:
        """Serialise for the run's folder and for the ranks."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> TrainOptions:
        """Parse the output of `to_json`."""
        return cls(**json.loads(text))


def bf16_pays(device: torch.device) -> bool:
    """Return True if `device` has bf16 products in hardware; torch's emulation of them is slow."""
    if device.type == "cuda":
        supported: bool = torch.cuda.is_bf16_supported()
        return supported
    tests = (getattr(torch.cpu, name, None) for name in CPU_TESTS)
    return any(test is not None and bool(test()) for test in tests)


WARM_UP_STEPS = 200
# Share of the run in which the learning rate decays, and the share of it that remains at the end.
DECAY_SHARE = 0.15
FINAL_SHARE = 0.02


def learning_rate_factor(step: int, progress: float) -> float:
    """Return the factor on the learning rates: linear warm-up, constant, linear decay in the last 15 %.

    progress: share of the run, 0..1.
    """
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    left = min(1.0, max(0.0, (1.0 - progress) / DECAY_SHARE))
    return warm * (FINAL_SHARE + (1 - FINAL_SHARE) * left)


def is_decaying(progress: float) -> bool:
    """Return True if the learning rate is decaying. progress: share of the run, 0..1."""
    return progress >= 1.0 - DECAY_SHARE


def launch(options: TrainOptions, procs: int) -> None:
    """Store the options in the folder of the run and train with `procs` ranks.

    Raises TrainingError if a rank fails.
    """
    options.run.mkdir(parents=True, exist_ok=True)
    stored = options.run / "options.json"
    stored.write_text(options.to_json(), encoding="utf-8")
    start: list[str] = []
    if procs > 1:
        # Without --log-dir, torch creates a folder in the system's temporary directory and leaves it there.
        start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={procs}"]
        start.append(f"--log-dir={os.devnull}")
    command = [sys.executable, *start, "-m", "codec.train.loop", str(stored)]
    # torch creates this folder even if nothing is compiled; by default it is in the temporary directory.
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(options.run), **os.environ}
    if not torch.cuda.is_available():
        # Two ranks with one thread each train 1.6 times faster than one rank with two threads.
        environment["OMP_NUM_THREADS"] = "1"
    code = subprocess.run(command, env=environment, check=False).returncode
    if code:
        raise TrainingError(f"training ended with exit code {code}; see the messages above")
