"""Profile one training step on one core: Mpx/s, GFLOP/s compared with a matrix product, time by operator.

python -m benchmarks.training.profile_step benchmarks/training/profile.json
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import usual
from codec.bitstream.rate_index import RATE_POINTS
from codec.io.files import write_atomic
from codec.model.config import ModelConfig
from codec.train.loss import bpp_of, distortion_of, draw_rate_points, lmbda_of, loss_of
from codec.train.model import TrainModel
from codec.train.settings import bf16_pays

CROP = 192
STEPS = usual(7, small=1)
PRODUCT = usual(2048, small=64)
STRUCTURE_SHARE = 0.25


def kind_of(operator: str) -> str:
    """Return the group of a profiler operator: convolution, or an operator that could be fused."""
    if "convolution" in operator or operator.endswith(("::addmm", "::mm", "::bmm")):
        return "convolution"
    if "adam" in operator:
        return "optimiser"
    return operator.removeprefix("aten::").removesuffix("_")


def product_gflops(dtype: torch.dtype) -> float:
    """Return the GFLOP/s of a matrix product, best of several: the limit of the core."""
    a, b = (torch.randn(PRODUCT, PRODUCT).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(STEPS):
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
    return 2 * PRODUCT**3 / best / 1e9


class Stepper:
    """The training step of one rank on crops of noise; the time depends only on their shape."""

    def __init__(self, structure_share: float) -> None:
        self.model = TrainModel(ModelConfig()).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-6, fused=True)
        self.x = torch.rand(RATE_POINTS, 3, CROP, CROP).contiguous(memory_format=torch.channels_last)
        self.rate = draw_rate_points(RATE_POINTS, torch.Generator().manual_seed(1))
        self.structure_share = structure_share
        self.bf16 = bf16_pays(torch.device("cpu"))

    def __call__(self) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            output = self.model(self.x, self.rate)
        distortion, _ = distortion_of(output.x_hat, self.x, 0.0, self.structure_share)
        loss = loss_of(bpp_of(output, self.x), distortion, lmbda_of(self.model.config, self.rate))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.model.scale.enforce_bounds()

    def seconds(self) -> float:
        """Return the median time of a step."""
        self()
        times = []
        for _ in range(STEPS):
            began = time.perf_counter()
            self()
            times.append(time.perf_counter() - began)
        return statistics.median(times)


def main() -> None:
    """Measure and write the profile."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    step, plain = Stepper(STRUCTURE_SHARE), Stepper(0.0)
    with FlopCounterMode(display=False) as counter:
        step()
    seconds, without = step.seconds(), plain.seconds()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    shares: dict[str, float] = {}
    for event in profiled.key_averages():
        kind = kind_of(event.key)
        shares[kind] = shares.get(kind, 0.0) + event.self_cpu_time_total
    total = sum(shares.values())
    ranked = sorted(shares.items(), key=lambda pair: -pair[1])
    pixels = RATE_POINTS * CROP**2
    record = {
        "torch": torch.__version__,
        "threads": 1,
        "crops": [RATE_POINTS, CROP],
        "seconds": round(seconds, 3),
        "megapixels_per_second": round(pixels / seconds / 1e6, 3),
        "megapixels_per_second_without_structure": round(pixels / without / 1e6, 3),
        "gflop": round(counter.get_total_flops() / 1e9, 2),
        "gflops": round(counter.get_total_flops() / seconds / 1e9, 1),
        "bf16": step.bf16,
        "gflops_of_matrix_product": round(product_gflops(torch.float32), 1),
        "gflops_of_matrix_product_bf16": round(product_gflops(torch.bfloat16), 1),
        "time_shares": {kind: round(value / total, 4) for kind, value in ranked if value / total > 0.01},
    }
    text = json.dumps(record, indent=1) + "\n"
    write_atomic(Path(sys.argv[1]), text.encode(), overwrite=True)
    print(text, end="")


if __name__ == "__main__":
    main()
