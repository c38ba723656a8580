"""One rank of a training run: `python -m codec.train.worker OPTIONS.json`, run directly or by torchrun."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist

from .options import TrainOptions


def main() -> None:
    """Join the process group if there is one, and train."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    warnings.filterwarnings("ignore", category=FutureWarning)
    options = TrainOptions.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    from .loop import run

    try:
        run(options)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
