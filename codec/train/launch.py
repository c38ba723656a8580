"""Start the ranks of a training run by torchrun."""

from __future__ import annotations

import os
import subprocess
import sys

import torch

from codec.errors import TrainingError

from .options import TrainOptions


def launch(options: TrainOptions, procs: int) -> None:
    """Store the options in the run's folder and train with `procs` ranks.

    Raises TrainingError when a rank fails.
    """
    options.run.mkdir(parents=True, exist_ok=True)
    stored = options.run / "options.json"
    stored.write_text(options.to_json(), encoding="utf-8")
    start: list[str] = []
    if procs > 1:
        # Without a place for logs it would make one among the system's temporary files, and leave it.
        start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={procs}"]
        start.append(f"--log-dir={os.devnull}")
    command = [sys.executable, *start, "-m", "codec.train.worker", str(stored)]
    # torch makes this folder, elsewhere unless told, though nothing is compiled and put there.
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(options.run), **os.environ}
    if not torch.cuda.is_available():
        # One thread for each rank: two ranks of one thread train 1.6 times faster than one rank of two.
        environment["OMP_NUM_THREADS"] = "1"
    code = subprocess.run(command, env=environment, check=False).returncode
    if code:
        raise TrainingError(f"training stopped with code {code}; the messages above say why")
