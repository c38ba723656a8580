"""The training loop of one rank, with checkpoints and a log: `python -m codec.train.loop OPTIONS.json`."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from codec.bitstream.rate_index import RATE_POINTS
from codec.errors import TrainingError
from codec.train.calibrate import evaluate
from codec.train.checkpoint import (
    WeightAverage,
    load_checkpoint,
    load_parameters,
    read_tensors,
    save_checkpoint,
    write_tensors,
)
from codec.train.crops import CropSource, build_cache
from codec.train.loss import bpp_of, distortion_of, draw_rate_points, lmbda_of, loss_of
from codec.train.model import TrainModel, apply_linear_start
from codec.train.settings import TrainOptions, bf16_pays, is_decaying, learning_rate_factor

LOG = logging.getLogger(__name__)
CLIP_NORM = 1.0
REPORT_SECONDS = 20.0
CHECKPOINT_SECONDS = 120.0
# Training stops after this many steps in a row without a finite gradient.
MAX_BAD_STEPS = 20
# About the number of tiles that the linear start is computed from.
START_PICTURES = 200
# Learning rate of the densities of z relative to the others. They start wide, and each batch holds few values
# of each.
DENSITY_FACTOR = 4.0
# Rate points in the log lines.
REPORTED_POINTS = (0, 3, 6, 10)


class Run:
    """The state of a run on one rank. Raises TrainingError."""

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.ranks = dist.get_world_size() if dist.is_initialized() else 1
        self.device = torch.device("cuda", self.rank) if torch.cuda.is_available() else torch.device("cpu")
        self.bf16 = bf16_pays(self.device)
        cache = options.run / "cache.npy"
        if self.rank == 0:
            build_cache(Path(options.images), cache)
        self._barrier()
        self.crops = CropSource(cache, seed=options.seed, rank=self.rank, drawn_share=options.drawn_share)
        torch.manual_seed(options.seed)
        self.model = TrainModel(options.config)
        self.step, self.seconds, self.pixels, self.bad_steps = 0, 0.0, 0, 0
        self._initialise()
        self.model.to(self.device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = self._optimiser()
        self.average = WeightAverage(self.model, options.ema)
        self._resume()
        self.parallel: nn.Module = DistributedDataParallel(self.model) if self.ranks > 1 else self.model

    def _initialise(self) -> None:
        if self.options.init:
            path = Path(self.options.init)
            load_parameters(self.model, read_tensors(path)[0], "", path)
        else:
            stride = max(1, len(self.crops.train) // START_PICTURES)
            apply_linear_start(self.model, self.crops.pictures(self.crops.train[::stride]))

    def _optimiser(self) -> torch.optim.Optimizer:
        linear = [self.model.network.g_a.patch, self.model.network.g_a.linear]
        linear += [self.model.network.g_s.unpatch, self.model.network.g_s.linear]
        slow = [layer.weight for layer in linear]
        slow += [self.model.network.g_a.lap.matrix, self.model.network.g_s.unlap.matrix]
        quick = list(self.model.density.parameters())
        apart = {id(p) for p in slow + quick}
        learning_rate = self.options.learning_rate
        groups = [
            {"params": [p for p in self.model.parameters() if id(p) not in apart], "lr": learning_rate},
            {"params": slow, "lr": learning_rate * self.options.linear_share},
            {"params": quick, "lr": learning_rate * DENSITY_FACTOR},
        ]
        for group in groups:
            group["base"] = group["lr"]
        return torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0, fused=True)

    def _resume(self) -> None:
        path = self.options.run / "checkpoint.safetensors"
        if path.exists():
            meta = load_checkpoint(path, self.model, self.optimiser, self.average)
            self.step, self.seconds, self.pixels = meta["step"], meta["seconds"], meta["pixels"]

    def _barrier(self) -> None:
        if self.ranks > 1:
            dist.barrier()

    @property
    def progress(self) -> float:
        """The share of the steps or the time that is used, 0..1."""
        if self.options.steps:
            return min(1.0, self.step / self.options.steps)
        return min(1.0, self.seconds / (60 * self.options.minutes))

    def _agree_on_time(self, started: float) -> None:
        self.seconds += time.monotonic() - started
        if self.ranks > 1:
            shared = torch.tensor([self.seconds], dtype=torch.float64, device=self.device)
            dist.broadcast(shared, 0)
            self.seconds = float(shared)

    def train_step(self) -> tuple[Tensor, Tensor, float]:
        """Run one optimiser step; return bpp [B] and MSE [B] of this rank's crops, and the loss."""
        options = self.options
        # Seeded by position, so that a resumed run equals an uninterrupted one.
        torch.manual_seed(hash((options.seed, self.rank, self.step)) & 0x7FFFFFFF)
        size = options.final_crop if is_decaying(self.progress) else options.crop
        crops = self.crops.batch(self.step, options.batch, size).to(self.device)
        x = (crops.float() / 255).contiguous(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(torch.initial_seed())
        rate_point = draw_rate_points(options.batch, generator).to(self.device)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * learning_rate_factor(self.step, self.progress)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            output = self.parallel(x, rate_point)
        bpp = bpp_of(output, x)
        distortion, mse = distortion_of(output.x_hat, x, *options.distortion_shares)
        loss = loss_of(bpp, distortion, lmbda_of(options.config, rate_point))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self._apply(bool(torch.isfinite(norm)))
        self.step += 1
        self.pixels += x.shape[0] * size * size * self.ranks
        return bpp.detach(), mse.detach(), float(loss.detach())

    def _apply(self, finite: bool) -> None:
        if not finite:
            self.bad_steps += 1
            if self.bad_steps >= MAX_BAD_STEPS:
                raise TrainingError(
                    f"{MAX_BAD_STEPS} steps in a row had no finite gradient; lower the learning rate"
                )
            return
        self.bad_steps = 0
        self.optimiser.step()
        self.model.scale.enforce_bounds()
        self.model.network.project_windows()
        self.average.update(self.model, self.step)

    def meta(self) -> dict[str, Any]:
        """Return the position of the run, as stored in its checkpoint."""
        return {"step": self.step, "seconds": self.seconds, "pixels": self.pixels}

    def save(self) -> None:
        """Write the checkpoint (rank 0 only)."""
        if self.rank == 0:
            path = self.options.run / "checkpoint.safetensors"
            save_checkpoint(path, self.model, self.optimiser, self.average, self.meta())

    def save_undecayed(self, path: Path) -> None:
        """Write the averaged weights in bf16 for the --init of a later run (rank 0 only)."""
        if self.rank == 0:
            tensors = {k: v.detach().to(torch.bfloat16) for k, v in self.average.values.items()}
            write_tensors(path, tensors, {**self.meta(), "options": self.options.public()})


def run(options: TrainOptions) -> None:
    """Train on this rank until the time or the steps are used up, then evaluate on the held-out tiles."""
    state = Run(options)
    log = _Log(state)
    undecayed = options.run / "undecayed.safetensors"
    saved = time.monotonic()
    while state.progress < 1.0:
        started = time.monotonic()
        if is_decaying(state.progress) and not undecayed.exists():
            state.save_undecayed(undecayed)
        log.add(*state.train_step())
        state._agree_on_time(started)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            state.save()
    state.save()
    if not undecayed.exists():
        # The run was too short for a step in the decay.
        state.save_undecayed(undecayed)
    if state.rank == 0:
        finish(state)
    state._barrier()


def finish(state: Run) -> None:
    """Evaluate the averaged weights on the held-out tiles and write run.json, the record of the run."""
    load_parameters(state.model, state.average.values, "", state.options.run)
    model = state.model.cpu().eval()
    held = state.crops.held_out
    points = (
        evaluate(model, state.crops.pictures(held), [float(r) for r in range(RATE_POINTS)])
        if len(held)
        else []
    )
    record = {
        **state.meta(),
        "ranks": state.ranks,
        "bf16": state.bf16,
        "options": state.options.public(),
    }
    record["held_out"] = [dataclasses.asdict(p) for p in points]
    (state.options.run / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    for point in points:
        LOG.info(
            "held out  rate point %.0f  bpp %.4f (z %.4f)  PSNR %.3f",
            point.rate,
            point.bpp,
            point.bpp_z,
            point.psnr,
        )


class _Log:
    """Log progress as lines and to a CSV file, from rank 0."""

    def __init__(self, state: Run) -> None:
        self.state = state
        self.rows: list[tuple[Tensor, Tensor, float]] = []
        self.since, self.pixels = time.monotonic(), state.pixels
        self.path = state.options.run / "log.csv"

    def add(self, bpp: Tensor, mse: Tensor, loss: float) -> None:
        if self.state.rank:
            return
        self.rows.append((bpp, mse, loss))
        if time.monotonic() - self.since > REPORT_SECONDS:
            self.report()

    def report(self) -> None:
        state, elapsed = self.state, time.monotonic() - self.since
        bpp = torch.stack([r[0] for r in self.rows]).mean(0).reshape(-1, RATE_POINTS).mean(0)
        mse = torch.stack([r[1] for r in self.rows]).mean(0).reshape(-1, RATE_POINTS).mean(0)
        psnr = -10 * mse.log10()
        loss = sum(r[2] for r in self.rows) / len(self.rows)
        speed = (state.pixels - self.pixels) / elapsed / 1e6
        points = "  ".join(f"{float(bpp[b]):.3f} bpp {float(psnr[b]):.2f} dB" for b in REPORTED_POINTS)
        LOG.info(
            "%5.1f %%  step %d  %.2f Gpx  %.2f Mpx/s  loss %.4f  %s",
            100 * state.progress, state.step, state.pixels / 1e9, speed, loss, points,
        )  # fmt: skip
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if new:
                names = [f"{kind}{b}" for b in range(RATE_POINTS) for kind in ("bpp", "psnr")]
                writer.writerow(["step", "seconds", "pixels", "loss", *names])
            values = [f"{float(v):.4f}" for b in range(RATE_POINTS) for v in (bpp[b], psnr[b])]
            writer.writerow([state.step, f"{state.seconds:.1f}", state.pixels, f"{loss:.5f}", *values])
        self.rows.clear()
        self.since, self.pixels = time.monotonic(), state.pixels


def main() -> None:
    """Join the process group if there is one, and train."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    warnings.filterwarnings("ignore", category=FutureWarning)
    options = TrainOptions.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        run(options)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
