"""Count latent channels without residuals by rate, and estimate what skipping them could save.

    python -m benchmarks.studies.empty_channels FOLDER OUT.json

Measures, for every tile of the folder's PNGs and every rate point, the shares of channels whose residuals are
0 in the whole tile, whose scale index is 0, and whose latent is constant. Only the last could become a bias
in g_s: where residuals are 0 the latent equals the predicted mean, and setting it to 0 shows how much that
mean matters. The products that are 0 wherever residuals are 0 are those of the scale contexts with the codes
of the residuals, a small part of a decoder's products.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import codec
from benchmarks.common import macs_by_weight, macs_per_pixel
from codec.bench.results import machine, versions
from codec.bitstream.geometry import LATENT_STRIDE, tile_grid
from codec.bitstream.rate_index import RATE_POINTS, STEP_UNITS
from codec.encode.tile_coder import tile_symbols
from codec.entropy import steps
from codec.entropy.steps import STEPS
from codec.inference.scale_network import MAGNITUDE_CODE
from codec.inference.weights import LoadedModel, architecture, folded_weights, load_model, read_verified
from codec.model.index import default_model_id, model_entry
from codec.tiles.quantise import dequantise_tile, quantise_tile
from codec.tiles.transforms import Block, analyse_unscaled, scaled, synthesise

# Above the rounding error of a constant in floating point.
SAME = 1e-4
ROUNDS = 9


def tile_facts(model: LoadedModel, unscaled: NDArray[np.float32], rate_index: int) -> dict[str, float]:
    """Return the shares of channels in one tile at one rate index."""
    symbols = quantise_tile(model, scaled(model, unscaled, rate_index), rate_index)
    y_hat = dequantise_tile(model, symbols, rate_index)
    silent = ~symbols.r.any((1, 2))
    spread = y_hat.max((1, 2)) - y_hat.min((1, 2))
    rows, columns = y_hat.shape[1:]
    whole = Block(0, 0, rows, columns)
    pixels = synthesise(model, y_hat, whole, rate_index).astype(np.int16)
    y_hat[silent] = 0
    moved = np.abs(synthesise(model, y_hat, whole, rate_index) - pixels)
    return {
        "residuals all 0": silent.mean(),
        "scale index all 0": (~symbols.scale_index.any((1, 2))).mean(),
        "latent all the same": (spread < SAME).mean(),
        "samples that change without those means": (moved > 0).mean(),
        "by more than one level": (moved > 1).mean(),
    }


def measure(model: LoadedModel, paths: list[Path]) -> dict[int, dict[str, float]]:
    """Return the mean shares of all tiles by rate."""
    found: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        height, width = pixels.shape[:2]
        rows, columns = -(-height // LATENT_STRIDE), -(-width // LATENT_STRIDE)
        for tile in tile_grid(width, height, 512):
            top, left = tile.y // LATENT_STRIDE, tile.x // LATENT_STRIDE
            block = Block(top, left, top - -tile.height // LATENT_STRIDE, left - -tile.width // LATENT_STRIDE)
            unscaled = analyse_unscaled(model, pixels, block, rows, columns)
            for point in range(RATE_POINTS):
                for name, share in tile_facts(model, unscaled, STEP_UNITS * point).items():
                    found[STEP_UNITS * point][name].append(float(share))
    return {
        rate: {name: round(float(np.mean(v)), 6) for name, v in facts.items()}
        for rate, facts in found.items()
    }


def code_products(model: LoadedModel, picture: Image.Image) -> dict[str, float]:
    """Time the products that could be skipped at the lowest rate, as shares of decoding the picture.

    Compares all products, by numpy, with those of the channels that are not empty, with gathered weights.
    """
    encoder, decoder = codec.Encoder(threads=1, effort=0), codec.Decoder(threads=1)
    encoder.rate_index = 0
    data = encoder.encode(picture)
    pixels = np.asarray(picture)
    arrays, meta = read_verified(model_entry(default_model_id()))
    weights = folded_weights(architecture(meta), arrays)
    pairs = []
    for tile in tile_grid(picture.width, picture.height, 512):
        r = tile_symbols(model, pixels, tile, 0).r
        for step in range(1, STEPS):
            known = np.concatenate([steps.take(r, before) for before in range(step)], 1)
            codes = MAGNITUDE_CODE[np.abs(known)].reshape(*known.shape[:2], -1)
            pairs.append((weights[f"scale.context.{step - 1}.codes.weight"], codes))

    def every() -> None:
        for weight, codes in pairs:
            np.matmul(weight, codes)

    def some() -> None:
        for weight, codes in pairs:
            for own, planes in zip(weight, codes, strict=True):
                kept = np.flatnonzero(planes.any(1))
                np.matmul(own[:, kept], planes[kept])

    whole = least_time(lambda: decoder.decode(data))
    return {"all": least_time(every) / whole, "those not empty": least_time(some) / whole}


def least_time(function: Callable[[], object]) -> float:
    """Return the CPU seconds of the fastest of several calls."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def markdown(rates: dict[int, dict[str, float]], shares: dict[str, float], products: dict[str, float]) -> str:
    """Return the shares as a table, with a conclusion."""
    names = list(next(iter(rates.values())))
    lines = ["| rate | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {rate} | " + " | ".join(f"{100 * facts[name]:.2f} %" for name in names) + " |"
        for rate, facts in rates.items()
    ]
    same = 100 * rates[0]["latent all the same"]
    layers, codes = (100 * share for share in shares.values())
    every, some = (100 * share for share in products.values())
    return (
        "\n".join(lines)
        + f"""

Mean shares over tiles. A channel without residuals is not without content: its latent is the predicted mean,
and without those means pixels differ at every rate. A channel whose latent is one value all over a tile could
become a bias of the two layers that take latents: at the lowest rate {same:.1f} % of the channels of layers
with {layers:.0f} % of a decoder's multiplications, so {same * layers / 100:.2f} % of them. Exactly 0 are the
products of the scale contexts with the codes of empty channels, {codes:.1f} % of the multiplications if all
were empty. At the lowest rate, in CPU time of decoding one picture, all these products take {every:.1f} %,
and those with channels that are not empty {some:.1f} %, finding and gathering their weights included: the
difference is all there is to gain, at that rate alone, for graphs whose weights change from tile to tile. The
coder skips every element of scale index 0 and z channels of one value already, and an encoder cannot know
which channels stay empty before h_a has seen all. So nothing more is skipped.
"""
    )


def main(folder: Path, out: Path) -> None:
    """Measure, print and write the result."""
    macs, whole = macs_by_weight(), macs_per_pixel()["decode"]
    shares = {
        "layers that take latents": (macs["g_s.in16.weight"] + macs["g_s.linear.weight"]) / whole,
        "products with codes": sum(v for name, v in macs.items() if name.endswith(".codes.weight")) / whole,
    }
    model = load_model(default_model_id())
    paths = sorted(folder.glob("*.png"))
    rates = measure(model, paths)
    with Image.open(paths[0]) as image:
        products = code_products(model, image.convert("RGB"))
    result = {
        "machine": machine(),
        "versions": versions(),
        "model": default_model_id().hex(),
        "share_of_decoder_macs": shares,
        "products_with_codes_in_decode_times": products,
        "rates": rates,
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = markdown(rates, shares, products)
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
