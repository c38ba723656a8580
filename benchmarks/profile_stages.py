"""Where the time of encoding and decoding goes, stage by stage, on one thread with a loaded model.

    python benchmarks/profile_stages.py OUT.json

Functions of each stage are wrapped with a clock; a stage's time is that of its functions, less what other
stages inside them take. It is CPU time, and the fastest of several runs counts, so that other work on the
machine disturbs little.
"""

from __future__ import annotations

import functools
import importlib
import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import codec
from codec.bench.machine import machine, versions
from codec.model.index import default_model_id, model_entry
from codec.model.weights import architecture, folded_weights, load_model, read_verified

ROOT = Path(__file__).parents[1]
SIZES = {"kodak": ((768, 512), 5), "12mpx": ((4000, 3000), 1)}
RATE = 896  # the middle of 0..1792, about 0.8 bits per pixel on photographs
# Where the code looks a function up, "module:name" or "module:class.name".
STAGES = {
    "decisions": ["codec.coding.tile:improved"],
    "Pillow": ["PIL.Image:Image.load", "PIL.Image:Image.save", "codec.encoder:load_picture"],
    "transforms": ["codec.effort.view:analyse_unscaled", "codec.runtime.painting:synthesise"],
    "hyper networks": [
        "codec.runtime.latents:_hyper_latents",
        "codec.runtime.latents:_Context.__init__",
        "codec.model.scale_network:ScaleNetwork.start",
    ],
    "mean context": ["codec.runtime.latents:_Context.mean"],
    "scale context": ["codec.model.scale_network:ScaleNetwork.step_index"],
    "quantisation": ["codec.coding.tile:quantise_tile", "codec.decoder:dequantise_tile"],
    "grouping of symbols": [
        "codec.entropy.coder:TileCoder.encode",
        "codec.entropy.coder:TileDecoder.z",
        "codec.entropy.coder:TileDecoder.r",
    ],
    "coder": ["codec.entropy.coder:TileDecoder._decode"],
    "lossless candidates": [
        "codec.coding.tile:may_pay",
        "codec.coding.tile:pack",
        "codec.coding.tile:exact_pays",
    ],
    "container and CRC": [
        "codec.coding.picture:write_container",
        "codec.decoder:locate_tiles",
        "codec.decoder:read_tile",
        "codec.decoder:symbol_crc",
        "codec.coding.tile:symbol_crc",
    ],
}
OTHER = "other"


class Clock:
    """Time by stage; the innermost stage gets it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._stack = [OTHER]
        self._since = time.process_time()

    def switch(self) -> None:
        """Book the time since the last switch."""
        now = time.process_time()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.switch()
            self._stack.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self._stack.pop()

        return timed


class _TimedEncoder:
    """constriction's encoder, whose methods cannot be replaced."""

    def __init__(self, clock: Clock, make: Callable[[], Any]) -> None:
        self._encoder = make()
        self.encode = clock.wrap("coder", self._encoder.encode)
        self.get_compressed = self._encoder.get_compressed


def install(clock: Clock) -> None:
    """Wrap all functions of STAGES."""
    coder = importlib.import_module("codec.entropy.coder")
    coder._RangeEncoder = functools.partial(_TimedEncoder, clock, coder._RangeEncoder)
    for stage, places in STAGES.items():
        for place in places:
            module, _, path = place.partition(":")
            owner: Any = importlib.import_module(module)
            *outer, name = path.split(".")
            for part in outer:
                owner = getattr(owner, part)
            setattr(owner, name, clock.wrap(stage, getattr(owner, name)))


def picture(width: int, height: int) -> Image.Image:
    """Return the photo of the tests, mirrored to size."""
    with Image.open(ROOT / "tests" / "data" / "chelsea.png") as photo:
        pixels = np.asarray(photo.convert("RGB"))
    missing = ((0, max(0, height - pixels.shape[0])), (0, max(0, width - pixels.shape[1])), (0, 0))
    return Image.fromarray(np.ascontiguousarray(np.pad(pixels, missing, mode="symmetric")[:height, :width]))


def measure(clock: Clock, function: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Return milliseconds by stage of the fastest of some runs, after one to warm up."""
    function()
    runs = []
    for _ in range(rounds):
        clock.switch()
        clock.seconds.clear()
        function()
        clock.switch()
        runs.append(dict(clock.seconds))
    best = min(runs, key=lambda run: sum(run.values()))
    return {stage: round(1000 * best.get(stage, 0.0), 1) for stage in (*STAGES, OTHER)}


# Of the graphs' weights, those that work at 1/8; all others do at 1/16.
AT_8 = ("g_a.in8", "g_a.blocks8", "g_s.blocks8", "g_s.out")
# The lapped filter: 16 products down and 48 across for each of three samples.
LAPPED = 3 * (16 + 48)
MATRIX_SIDE = 1024


def macs_per_pixel() -> dict[str, float]:
    """Return multiplications a pixel of each way, without halos: from the shapes of the graphs' weights."""
    arrays, meta = read_verified(model_entry(default_model_id()))
    weights = folded_weights(architecture(meta), arrays)
    found = {"encode": float(LAPPED), "decode": float(LAPPED)}
    for name, value in weights.items():
        if not name.endswith(".weight"):
            continue
        # A matrix of a step meets a quarter of the positions at each place of a 2x2.
        share = value.size / (64 if name.startswith(AT_8) else 256) / (4 if value.ndim == 3 else 1)
        if not name.startswith(("g_s.",)):
            found["encode"] += share
        if not name.startswith(("g_a.", "h_a.")):
            found["decode"] += share
    return found


def matrix_gflops() -> float:
    """Return what products of large matrices reach for a second of one core."""
    a = np.ones((MATRIX_SIDE, MATRIX_SIDE), np.float32)
    best = float("inf")
    for _ in range(8):
        start = time.process_time()
        a @ a
        best = min(best, time.process_time() - start)
    return 2 * MATRIX_SIDE**3 / best / 1e9


def floor(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Compare megapixels a second with what the multiplications alone would allow."""
    gflops, macs = matrix_gflops(), macs_per_pixel()
    rows = {}
    for task, stages in table.items():
        way, size = task.split(", ")
        width, height = SIZES[size][0]
        reached = width * height / 1e3 / sum(stages.values())
        best = gflops * 1e3 / 2 / macs[way]
        rows[task] = {
            "kmacs_per_pixel": round(macs[way] / 1e3, 2),
            "mpx_per_s": round(reached, 2),
            "floor_mpx_per_s": round(best, 2),
            "share_of_floor": round(reached / best, 3),
        }
    return {"matrix_gflops": {"one core": round(gflops, 1)}} | rows


def main(out: Path) -> None:
    """Profile, print and write."""
    load = os.getloadavg()[0]
    encoder, decoder = codec.Encoder(threads=1, effort=0), codec.Decoder(threads=1)
    encoder.rate = RATE
    clock = Clock()
    install(clock)
    table: dict[str, dict[str, float]] = {}
    for size, ((width, height), rounds) in SIZES.items():
        source = io.BytesIO()
        picture(width, height).save(source, "PNG", compress_level=1)
        png = source.getvalue()
        data = encoder.encode(png)

        def decode(data: bytes = data) -> None:
            decoder.decode(data).save(io.BytesIO(), "PNG", compress_level=1)

        table[f"encode, {size}"] = measure(clock, functools.partial(encoder.encode, png), rounds)
        table[f"decode, {size}"] = measure(clock, decode, rounds)
    result = {
        "machine": machine(),
        "versions": versions(),
        "load_at_start": load,
        "threads": 1,
        "backend": load_model(default_model_id()).runner.name,
        "floor": floor(table),
        "milliseconds": table,
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(markdown(table), encoding="utf-8")
    print(markdown(table), json.dumps(result["floor"], indent=1))


def markdown(table: dict[str, dict[str, float]]) -> str:
    """Return milliseconds by stage and task as a table."""
    lines = [f"| ms, 1 thread | {' | '.join(table)} |", "|---" * (len(table) + 1) + "|"]
    lines += [
        f"| {stage} | {' | '.join(f'{row[stage]:.1f}' for row in table.values())} |"
        for stage in (*STAGES, OTHER)
    ]
    lines.append(f"| all | {' | '.join(f'{sum(row.values()):.1f}' for row in table.values())} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
