"""Measure the cost of rate-dependent gains, which cannot be folded into the stored weights.

    python -m benchmarks.studies.gains OUT.json

Uses one tile of 512x512 of the photo in tests/assets, one thread and onnxruntime. Gains of the encoder and
the decoder are timed alone; those inside the networks by removing them from the graphs, which run
alternately. Results are medians of CPU time over many rounds, as shares of encoding and decoding the tile.
Needs onnx.
"""

from __future__ import annotations

import json
import operator
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import codec
from benchmarks.common import mirrored_photo, usual
from benchmarks.profile_stages import RATE_INDEX
from benchmarks.studies.onnx_graph import runs, shipped, whole_graph
from codec.bench.results import machine, versions
from codec.bitstream.geometry import tile_grid
from codec.encode.tile_coder import tile_symbols
from codec.inference.scale_network import factors
from codec.inference.weights import load_model
from codec.model.index import default_model_id
from codec.tiles.quantise import dequantise_tile
from codec.tiles.transforms import Block, analyse_unscaled, scaled

ROUNDS = usual(100, small=2)
SIDE = 32
Work = dict[str, Callable[[], object]]


def session(name: str, *, with_gains: bool) -> Callable[[dict[str, NDArray[Any]]], object]:
    """Return a function that runs a graph; without gains, its products of two arrays are removed."""
    model = whole_graph(name, *shipped())
    if not with_gains:
        for node in model.graph.node:
            if node.op_type == "Mul":
                node.op_type = "Identity"
                del node.input[1:]
    return runs(model)


def turns(work: Work) -> dict[str, list[float]]:
    """Return the CPU seconds of each function, round by round."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, function in work.items():
            start = time.process_time()
            function()
            found[name].append(time.process_time() - start)
    return found


def everything() -> Work:
    """Return the functions to time, by name."""
    model = load_model(default_model_id())
    pixels = mirrored_photo(512, 512)
    whole = Block(0, 0, SIDE, SIDE)
    unscaled = analyse_unscaled(model, pixels, whole, SIDE, SIDE)
    symbols = tile_symbols(model, pixels, tile_grid(512, 512, 512)[0], RATE_INDEX)
    y_hat = dequantise_tile(model, symbols, RATE_INDEX)

    def rate(name: str) -> NDArray[np.float32]:
        return factors(model.arrays[name], RATE_INDEX)[None, :, None, None]

    box = np.array([0, 0, SIDE, SIDE], np.int64)
    synthesis = {
        "y_hat": y_hat[None],
        "rate16": rate("g_s.rate16.log_scale"),
        "rate8": rate("g_s.rate8.log_scale"),
        "keep16": box,
        "keep8": 2 * box,
    }
    mean = {"z": symbols.z[None].astype(np.float32), "rate": rate("h_s_mean.rate.log_scale")}
    encoder, decoder = codec.Encoder(threads=1, effort=0), codec.Decoder(threads=1)
    encoder.rate_index = RATE_INDEX
    data = encoder.encode(pixels)

    product = np.empty_like(y_hat)

    def inverse() -> None:
        np.multiply(y_hat, factors(model.arrays["inverse_gain"], RATE_INDEX)[:, None, None], out=product)

    work: Work = {
        "encode": lambda: encoder.encode(pixels),
        "decode": lambda: decoder.decode(data),
        "gain": lambda: scaled(model, unscaled, RATE_INDEX),
        "inverse gain": inverse,
    }
    for name, inputs in {"synthesis": synthesis, "hyper_mean": mean}.items():
        for with_gains in (True, False):
            run = session(name, with_gains=with_gains)

            work[f"{name}, {'with' if with_gains else 'without'}"] = lambda run=run, given=inputs: run(given)
    return work


def main(out: Path) -> None:
    """Measure, print and write the result."""
    load = os.getloadavg()[0]
    rounds = turns(everything())
    times = {name: median(seconds) for name, seconds in rounds.items()}
    encode, decode = times["encode"], times["decode"]
    synthesis, mean = (
        # The two run in succession, so that other work on the machine affects both.
        median(map(operator.sub, rounds[f"{name}, with"], rounds[f"{name}, without"]))
        for name in ("synthesis", "hyper_mean")
    )
    shares = {
        "encode: gain": times["gain"] / encode,
        "encode: h_s_mean's rate": mean / encode,
        "decode: inverse gain": times["inverse gain"] / decode,
        "decode: h_s_mean's rate": mean / decode,
        "decode: both rates of g_s": synthesis / decode,
    }
    result = {
        "machine": machine(),
        "versions": versions(),
        "load_at_start": load,
        "model": default_model_id().hex(),
        "cpu_ms": {name: round(1000 * seconds, 3) for name, seconds in times.items()},
        "shares": {name: round(share, 4) for name, share in shares.items()},
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = markdown(shares)
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


def markdown(shares: dict[str, float]) -> str:
    """Return the shares as a table, with a conclusion."""
    lines = ["| factors that no weight holds | share of CPU time |", "|---|---|"]
    lines += [f"| {name} | {100 * share:.2f} % |" for name, share in shares.items()]
    encode, decode = (
        100 * sum(share for name, share in shares.items() if name.startswith(way))
        for way in ("encode", "decode")
    )
    return (
        "\n".join(lines)
        + f"""

Everything that does not depend on quality is folded (codec/inference/folding.py): the patches
into the 1x1 layers beside them, the scale of samples, pixel shuffles. What is left takes {encode:.1f} % of
encoding and {decode:.1f} % of decoding. It stays: folded in, it would make other weights for every quality,
which onnxruntime would have to take as inputs rather than pack once for its kernels.
"""
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
