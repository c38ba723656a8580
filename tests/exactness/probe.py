"""One cell of the matrix: decode .vae files under some setting of torch, and say what came out.

    python probe.py [--threads N] [--no-onednn] [--rows] [--at-once N] --picture PICTURE --out OUT FILES...

--rows keeps weights and activations row by row instead of channels innermost. --at-once decodes so many
tiles, and files, at a time, the last ones first.

Prints one line of JSON: the sha256 of all symbols of FILES, of the float output of the synthesis network, and
the version of torch. OUT, an .npz, receives the samples of FILES, and a file encoded here from PICTURE with
the samples decoded here from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from codec.bitstream.container import parse_container
from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.tile import TilePayload
from codec.decoder import Decoder, decode_symbols
from codec.encoder import Encoder
from codec.model.index import default_model_id
from codec.model.inference.torch_ops import TorchOps
from codec.model.inference.torch_runner import TorchRunner
from codec.model.rates import rate_tensor
from codec.model.weights import LoadedModel, load_model
from codec.runtime.latents import dequantise_tile


class RowOps(TorchOps):
    """The same operations on planes stored row by row."""

    def conv(self, x, name, kernel=1, *, depthwise=False, bias=True):
        return super().conv(x.contiguous(), name, kernel, depthwise=depthwise, bias=bias).contiguous()


def store_rows(model: LoadedModel) -> None:
    """Let a model's convolutions run on planes, and weights, that are stored row by row."""
    runner = model.runner
    assert isinstance(runner, TorchRunner)
    runner._ops = RowOps({name: value.contiguous() for name, value in runner._ops._weights.items()})


def symbols_and_floats(data: bytes, at_once: int) -> tuple[bytes, bytes]:
    """Symbols of all tiles as bytes, and the synthesis of each tile's latents before rounding."""
    container = parse_container(data)
    header = container.header
    model = load_model(header.model_id)

    def one(tile: Tile, payload: TilePayload) -> tuple[bytes, bytes]:
        decoded = decode_symbols(model, tile, payload, header.quality)
        with torch.inference_mode():
            y_hat = torch.from_numpy(dequantise_tile(model, decoded, header.quality))[None]
            floats = model.network.g_s(y_hat, rate_tensor(header.quality)).contiguous().numpy().tobytes()
        return decoded.z.astype("<i2").tobytes() + decoded.r.astype("<i2").tobytes(), floats

    tiles = tile_grid(header.width, header.height, header.tile_size)
    if at_once == 1:
        # On this very thread, so that the setting of torch's own threads counts too.
        parts = [one(*pair) for pair in zip(tiles, container.tiles, strict=True)]
    else:
        with ThreadPoolExecutor(at_once) as pool:
            parts = list(pool.map(one, tiles[::-1], container.tiles[::-1]))[::-1]
    return b"".join(part[0] for part in parts), b"".join(part[1] for part in parts)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-onednn", action="store_true")
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.no_onednn:
        torch.backends.mkldnn.set_flags(False)
    if options.rows:
        store_rows(load_model(default_model_id()))
    parts = [symbols_and_floats(file.read_bytes(), options.at_once) for file in options.files]
    decoder = Decoder(threads=options.threads)
    if options.at_once == 1:
        pixels = {file.stem: np.asarray(decoder.decode(file.read_bytes())) for file in options.files}
    else:
        backwards = options.files[::-1]
        several = Decoder(threads=options.at_once).map(file.read_bytes() for file in backwards)
        pixels = {file.stem: np.asarray(made) for file, made in zip(backwards, several, strict=True)}
    own = Encoder(50, threads=options.threads).encode(options.picture)
    own_pixels = np.asarray(decoder.decode(own))
    np.savez(options.out, own_file=np.frombuffer(own, np.uint8), own_pixels=own_pixels, **pixels)
    record = {
        "torch": torch.__version__,
        "symbols": hashlib.sha256(b"".join(p[0] for p in parts)).hexdigest(),
        "floats": hashlib.sha256(b"".join(p[1] for p in parts)).hexdigest(),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
