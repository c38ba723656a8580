"""Measure the VAE's other uses, draw the example pictures and write the results of docs/other-uses.md.

    python -m benchmarks.uses.run OUT [--kodak DIR] [--pictures N] [--only PART ...] [--page FILE]

Needs: pip install -e '.[dev]'. Parts: anomalies, digits, generation, imputation, examples, page. Numbers of
parts that are not run are kept. OUT is benchmarks/results/<version>.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

import codec
from benchmarks.common import ROOT, SMALL
from benchmarks.uses import examples, measure, page
from codec.model.index import default_model_id
from codec.vae import imputation

PARTS = ("anomalies", "digits", "generation", "imputation", "examples", "page")


def main() -> None:
    """Run the requested parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kodak", type=Path, help="folder of the Kodak pictures, for `imputation`")
    parser.add_argument("--pictures", type=int, default=24, help="how many of them")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--page", type=Path, default=ROOT / "docs" / "other-uses.md", help="whose block is written"
    )
    options = parser.parse_args()
    if SMALL:
        imputation.ITERATIONS = 1
    # The models trained here are small, and equal on any number of cores.
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "uses.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    model = default_model_id().hex()
    measured = {
        "anomalies": measure.anomalies,
        "digits": lambda: {
            "class_left_out": measure.digits_left_out(),
            "missing_half": measure.half_digits(),
        },
        "generation": measure.generation,
        "imputation": lambda: measure.imputation(options.kodak, options.pictures),
    }
    for part in options.only:
        if part not in measured:
            continue
        if part == "imputation" and options.kodak is None:
            print("imputation left out: give --kodak DIR", file=sys.stderr)
            continue
        print(part, file=sys.stderr, flush=True)
        found[part] = {"version": codec.__version__, "model": model, **measured[part]()}
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if "examples" in options.only:
        examples.draw(options.out / "uses")
        found["examples"] = {"model": model, "folder": f"benchmarks/results/{codec.__version__}/uses"}
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if "page" in options.only:
        page.write(options.page, found)


if __name__ == "__main__":
    main()
