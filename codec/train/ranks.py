"""Start the ranks of a training run. `python -m codec.train.ranks OPTIONS.json` runs one rank."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist

from codec.errors import TrainingError
from codec.train.settings import TrainOptions


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
    command = [sys.executable, *start, "-m", "codec.train.ranks", str(stored)]
    # torch creates this folder even if nothing is compiled; by default it is in the temporary directory.
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(options.run), **os.environ}
    if not torch.cuda.is_available():
        # Two ranks with one thread each train 1.6 times faster than one rank with two threads.
        environment["OMP_NUM_THREADS"] = "1"
    code = subprocess.run(command, env=environment, check=False).returncode
    if code:
        raise TrainingError(f"training ended with exit code {code}; see the messages above")


def main() -> None:
    """Join the process group if there is one, and train."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    warnings.filterwarnings("ignore", category=FutureWarning)
    options = TrainOptions.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    from codec.train.loop import run

    try:
        run(options)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
