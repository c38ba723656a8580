"""Profile encoding and decoding by stage, on one thread with a loaded model.

    python -m benchmarks.profile_stages OUT.json
    git worktree add OLD fa46ee0
    PYTHONPATH=OLD:. python -P -m benchmarks.profile_stages OUT.json --before

Functions of each stage are wrapped with a clock. The time of a stage is that of its functions minus that of
other stages inside them, in CPU time of the fastest of several runs, which depends little on other work on
the machine. --before profiles the package of commit fa46ee0, before any work on speed, whose functions have
other names; picture, clock and rate are the same. -P keeps this tree's package from being imported first.
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

from PIL import Image

import codec
from benchmarks.common import macs_per_pixel, matrix_gflops, mirrored_photo, usual
from codec.bench.results import machine, versions
from codec.inference.weights import load_model
from codec.model.index import default_model_id

SIZES = usual({"kodak": ((768, 512), 5), "12mpx": ((4000, 3000), 2)}, small={"small": ((96, 64), 1)})
COMMIT_BEFORE = "fa46ee0"
RATE_INDEX = 1664  # of 0..2560, about 0.8 bits per pixel on photographs
# Functions by stage, as "module:name" or "module:class.name", in the module that calls them.
STAGES = {
    "decisions": ["codec.encode.tile_coder:optimise_symbols"],
    "Pillow": ["PIL.Image:Image.load", "PIL.Image:Image.save", "codec.encode.encoder:load_picture"],
    "transforms": ["codec.encode.tile_view:analyse_unscaled", "codec.tiles.synthesis:synthesise"],
    "hyper networks": [
        "codec.tiles.quantise:hyper_latents",
        "codec.tiles.quantise:_Context.__init__",
        "codec.inference.scale_network:ScaleNetwork.start",
    ],
    "mean context": ["codec.tiles.quantise:_Context.mean"],
    "scale context": ["codec.inference.scale_network:ScaleNetwork.step_index"],
    "quantisation": ["codec.encode.tile_coder:quantise_tile", "codec.decode.decoder:dequantise_tile"],
    "grouping of symbols": [
        "codec.entropy.coder:TileCoder.encode",
        "codec.entropy.coder:TileDecoder.z",
        "codec.entropy.coder:TileDecoder.r",
    ],
    "coder": ["codec.entropy.coder:WordsDecoder.decode"],
    "lossless candidates": ["codec.encode.tile_coder:may_pay", "codec.encode.tile_coder:pack"],
    "detail layers": [
        "codec.encode.picture_coder:may_refine",
        "codec.encode.picture_coder:refine_tile",
        "codec.decode.decoder:add_detail",
    ],
    "container and CRC": [
        "codec.encode.picture_coder:write_container",
        "codec.decode.decoder:locate_tiles",
        "codec.decode.decoder:read_tile",
        "codec.decode.symbols:symbol_crc",
        "codec.encode.tile_coder:symbol_crc",
    ],
}
BEFORE = {
    "decisions": [],
    "transforms": ["codec.encoder:analyse", "codec.runtime.painting:synthesise"],
    "hyper networks": [
        "codec.runtime.latents:_features",
        "codec.model.hyperprior:HyperAnalysis.forward",
        "codec.model.scale_network:ScaleNetwork.start",
    ],
    "mean context": ["codec.model.hyperprior:MeanContext.forward"],
    "scale context": ["codec.model.scale_network:ScaleNetwork.scale_index"],
    "quantisation": ["codec.encoder:quantise_tile", "codec.decoder:dequantise_tile"],
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
    """Measure time by stage; nested time counts for the innermost stage."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._stack = [OTHER]
        self._since = time.process_time()

    def switch(self) -> None:
        """Add the time since the last switch to the current stage."""
        now = time.process_time()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function wrapped with the clock."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.switch()
            self.calls[stage] += 1
            self._stack.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self._stack.pop()

        return timed


class _TimedEncoder:
    """Time constriction's encoder, whose methods cannot be replaced."""

    def __init__(self, clock: Clock, make: Callable[[], Any]) -> None:
        self._encoder = make()
        self.encode = clock.wrap("coder", self._encoder.encode)
        self.get_compressed = self._encoder.get_compressed


def install(clock: Clock, stages: dict[str, list[str]], *, before: bool) -> None:
    """Wrap all functions of the stages."""
    if before:
        coder = importlib.import_module("codec.entropy.coder")
        coder._RangeEncoder = functools.partial(_TimedEncoder, clock, coder._RangeEncoder)
    else:
        models = load_model(default_model_id()).coder._models
        encoder = functools.partial(_TimedEncoder, clock, models.range_coder.encoder)
        models.range_coder = models.range_coder._replace(encoder=encoder)
    for stage, places in stages.items():
        for place in places:
            module, _, path = place.partition(":")
            owner: Any = importlib.import_module(module)
            *outer, name = path.split(".")
            for part in outer:
                owner = getattr(owner, part)
            setattr(owner, name, clock.wrap(stage, getattr(owner, name)))


def measure(clock: Clock, function: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Return milliseconds by stage of the fastest of `rounds` runs, after one warm-up run."""
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


def floor(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Compare megapixels per second with the bound given by the multiplications alone."""
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


def main(out: Path, *, before: bool) -> None:
    """Profile, print and write the tables."""
    load = os.getloadavg()[0]
    options: dict[str, Any] = {} if before else {"effort": 0}
    encoder, decoder = codec.Encoder(threads=1, **options), codec.Decoder(threads=1)
    encoder.rate_index = RATE_INDEX
    clock = Clock()
    stages = STAGES | BEFORE if before else STAGES
    install(clock, stages, before=before)
    table: dict[str, dict[str, float]] = {}
    for size, ((width, height), rounds) in SIZES.items():
        source = io.BytesIO()
        Image.fromarray(mirrored_photo(width, height)).save(source, "PNG", compress_level=1)
        png = source.getvalue()
        data = encoder.encode(png)

        def decode(data: bytes = data) -> None:
            decoder.decode(data).save(io.BytesIO(), "PNG", compress_level=1)

        table[f"encode, {size}"] = measure(clock, functools.partial(encoder.encode, png), rounds)
        table[f"decode, {size}"] = measure(clock, decode, rounds)
    silent = [stage for stage, places in stages.items() if places and not clock.calls[stage]]
    if silent:
        sys.exit(f"no function of these stages was called, so their hooks are stale: {', '.join(silent)}")
    what = {
        "commit": COMMIT_BEFORE if before else "this tree",
        "model": default_model_id().hex(),
        "backend": "torch" if before else load_model(default_model_id()).runner.name,
    }
    result = {
        "machine": machine(),
        "versions": versions(),
        "load_at_start": load,
        "threads": 1,
        "clock": "CPU time",
        **what,
        **({} if before else {"floor": floor(table)}),
        "milliseconds": table,
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = f"{', '.join(what.values())}; CPU time on one thread, both ways with PNG.\n\n{markdown(table)}"
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


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
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--before"]):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), before="--before" in sys.argv)
