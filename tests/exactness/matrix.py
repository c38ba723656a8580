"""Decode under every setting of torch's kernels and threads; run by hand before a release.

    python tests/exactness/matrix.py > RESULT.json

One process runs for each of 48 settings: threads 1 and 2, with and without oneDNN, two instruction sets of
ATen, three of oneDNN, channels innermost or planes row by row. The library has no option for planes, so the
probe changes the stored weights. Each process decodes files with tiles of 64, 128 and 512 pixels a side, one
of them with a detail layer, one tile at a time and four at a time. The library never puts two tiles into one
tensor, so these are all batches.

Symbols must be identical. Samples may differ by one level, at most one in 10,000. ATen and oneDNN replace
instruction sets that the processor lacks; `instructions` in the result names the ones in use.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cell import ROOT, Samples, run_cell
from PIL import Image

sys.path.insert(0, str(ROOT))
PICTURE = ROOT / "tests" / "assets" / "chelsea.png"
AXES = {
    "threads": ("1", "2"),
    "onednn": ("on", "off"),
    "aten": ("default", "avx2"),
    "onednn_isa": ("SSE41", "AVX2", "AVX512_CORE"),
    "memory": ("channels", "rows"),
}
AT_ONCE = (1, 4)
# Picture, rate_index 0..2304, binary logarithm of the tiles' side.
FILES = (("photo", 2304, 6), ("photo", 2304, 7), ("photo", 1168, 9), ("noise", 2168, 7))
# Quality of a file with detail layers.
FINE = 96
MAX_LEVELS, MAX_SHARE = 1, 1e-4


def encoded(pixels: np.ndarray, rate_index: int, tile_log2: int) -> bytes:
    """Return a file of learned tiles of 2**tile_log2 pixels a side; the encoder has no such option."""
    from codec.bitstream.container import write_container
    from codec.bitstream.geometry import tile_grid
    from codec.bitstream.header import Header
    from codec.encode.tile_coder import encode_tile
    from codec.inference.threads import map_ordered
    from codec.inference.weights import load_model
    from codec.model.index import default_model_id

    model = load_model(default_model_id())
    header = Header(pixels.shape[1], pixels.shape[0], rate_index, model.model_id, tile_log2)
    grid = tile_grid(header.width, header.height, header.tile_size)
    return write_container(
        header, map_ordered(lambda tile: encode_tile(model, pixels, tile, rate_index=rate_index), grid, 1)
    )


def make_files(folder: Path) -> list[Path]:
    """Write small files with many kinds of tiles, symbols and rates; return their paths."""
    from codec.encode.encoder import Encoder

    with Image.open(PICTURE) as photo:
        shown = {"photo": np.asarray(photo.convert("RGB").crop((130, 90, 330, 218)))}
    # Unlike photographs: most residuals are escapes.
    shown["noise"] = np.random.default_rng(0).integers(0, 2, (64, 160, 3), dtype=np.uint8) * 255
    files = []
    for name, rate_index, log2 in FILES:
        files.append(folder / f"{name}-{rate_index}-{log2}.vae")
        files[-1].write_bytes(encoded(shown[name], rate_index, log2))
    files.append(folder / f"photo-detail-{FINE}.vae")
    files[-1].write_bytes(Encoder(FINE, threads=1).encode(shown["photo"]))
    return files


def run_one(cell: dict[str, str], files: list[Path], out: Path) -> tuple[dict[str, Any], Samples]:
    """Decode in one cell; return what the probe printed and stored."""
    arguments = ["--threads", cell["threads"], "--at-once", ",".join(map(str, AT_ONCE))]
    arguments += ["--no-onednn"] * (cell["onednn"] == "off") + ["--rows"] * (cell["memory"] == "rows")
    settings = {"ATEN_CPU_CAPABILITY": cell["aten"], "ONEDNN_MAX_CPU_ISA": cell["onednn_isa"]}
    # Threads that spin while they wait take most of the time if the machine does other work.
    return run_cell(files, out, arguments, {**settings, "OMP_WAIT_POLICY": "passive"})


def main() -> int:
    import torch

    symbols, floats, cells = [], [], []
    largest, most_differ, samples = 0, 0, 0
    reference: Samples = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_files(folder)
        for values in itertools.product(*AXES.values()):
            cell = dict(zip(AXES, values, strict=True))
            record, found = run_one(cell, files, folder / "out.npz")
            reference = reference or {name: made[0] for name, made in found.items()}
            # Along the first axis of `found`: one tile at a time, and several.
            off = np.concatenate(
                [
                    np.abs(made.astype(np.int16) - reference[name]).reshape(len(AT_ONCE), -1)
                    for name, made in found.items()
                ],
                axis=1,
            )
            differ = np.count_nonzero(off, axis=1)
            samples, largest = off.shape[1], max(largest, int(off.max()))
            most_differ = max(most_differ, int(differ.max()))
            symbols += record["symbols"]
            floats += record["floats"]
            cells.append({**cell, "samples_that_differ": differ.tolist()})
            print(len(cells), cell, differ.tolist(), file=sys.stderr)
    result = {
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "at_once": AT_ONCE,
        "tile_sizes": sorted({1 << log2 for *_, log2 in FILES}),
        "files": len(files),
        "processes": len(cells),
        "cells": len(symbols),
        "cells_with_the_same_symbols": symbols.count(symbols[0]),
        "kinds_of_floats": len(set(floats)),
        "samples": samples,
        "most_samples_that_differ": most_differ,
        "largest_difference": largest,
        "by_process": cells,
    }
    print(json.dumps(result))
    same = result["cells_with_the_same_symbols"] == result["cells"]
    return int(not same or largest > MAX_LEVELS or most_differ > max(1, MAX_SHARE * samples))


if __name__ == "__main__":
    sys.exit(main())
