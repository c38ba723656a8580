"""Where the time of encoding and decoding goes, stage by stage, on one thread with a loaded model.

    python benchmarks/profile_stages.py OUT.json

Functions of each stage are wrapped with a clock; a stage's time is that of its functions, less what other
stages inside them take. Each size is run several times and the fastest run counts, so that other work on
the machine disturbs little.
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

ROOT = Path(__file__).parents[1]
SIZES = {"kodak": ((768, 512), 5), "12mpx": ((4000, 3000), 1)}
RATE = 896  # the middle of 0..1792, about 0.8 bits per pixel on photographs
# Where the code looks a function up, "module:name" or "module:class.name".
STAGES = {
    "Pillow": ["PIL.Image:Image.load", "PIL.Image:Image.save", "codec.encoder:load_picture"],
    "transforms": ["codec.encoder:analyse", "codec.runtime.painting:synthesise"],
    "hyper networks": [
        "codec.runtime.latents:_features",
        "codec.model.hyperprior:HyperAnalysis.forward",
        "codec.model.scale_network:ScaleNetwork.start",
    ],
    "mean context": ["codec.model.hyperprior:MeanContext.forward"],
    "scale context": ["codec.model.scale_network:ScaleNetwork.scale_index"],
    "quantisation": ["codec.encoder:quantise_tile", "codec.decoder:dequantise_tile"],
    "grouping of symbols": [
        "codec.entropy.coder:TileCoder.encode",
        "codec.entropy.coder:TileDecoder.z",
        "codec.entropy.coder:TileDecoder.r",
    ],
    "coder": ["codec.entropy.coder:TileDecoder._decode"],
    "lossless candidates": ["codec.encoder:may_pay", "codec.encoder:pack", "codec.encoder:exact_pays"],
    "container and CRC": [
        "codec.encoder:write_container",
        "codec.decoder:locate_tiles",
        "codec.decoder:read_tile",
        "codec.decoder:symbol_crc",
        "codec.encoder:symbol_crc",
    ],
}
OTHER = "other"


class Clock:
    """Time by stage; the innermost stage gets it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._stack = [OTHER]
        self._since = time.perf_counter()

    def switch(self) -> None:
        """Book the time since the last switch."""
        now = time.perf_counter()
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


def main(out: Path) -> None:
    """Profile, print and write."""
    load = os.getloadavg()[0]
    encoder, decoder = codec.Encoder(threads=1), codec.Decoder(threads=1)
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
        "milliseconds": table,
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(markdown(table), encoding="utf-8")
    print(markdown(table))


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
