"""One cell of the matrix: decode .vae files with given settings of torch and print hashes of the result.

    python probe.py [--threads N] [--no-onednn] [--rows] [--at-once N,...] [--picture PICTURE] --out OUT FILES

--rows stores weights and activations row by row instead of channels innermost. --at-once decodes N tiles and
N files at a time, the last ones first; several numbers repeat everything for each.

Prints one line of JSON: for each of --at-once the sha256 of all symbols of FILES and of the float output of
the synthesis network, and the version of torch. OUT, an .npz, receives the samples of FILES, uint8
[at-once, H, W, 3], and a file encoded here from PICTURE with the samples decoded here from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codec.bitstream.container import parse_container
from codec.bitstream.geometry import Tile, tile_grid
from codec.bitstream.tile_payloads import TilePayload
from codec.decode.decoder import Decoder
from codec.decode.symbols import decode_detail, decode_symbols
from codec.encode.encoder import Encoder
from codec.inference.torch_backend import TorchOps, TorchRunner
from codec.inference.weights import LoadedModel, load_model
from codec.model.index import default_model_id
from codec.networks.layers import rate_point_tensor
from codec.networks.network import float_network
from codec.tiles.quantise import dequantise_tile


class RowOps(TorchOps):
    """The operations of TorchOps on planes stored row by row."""

    def conv(self, x, name, kernel=1, *, depthwise=False, bias=True):
        return super().conv(x.contiguous(), name, kernel, depthwise=depthwise, bias=bias).contiguous()


def store_rows(model: LoadedModel) -> None:
    """Make a model's convolutions run on planes and weights that are stored row by row."""
    runner = model.runner
    assert isinstance(runner, TorchRunner)
    runner._ops = RowOps({name: value.contiguous() for name, value in runner._ops._weights.items()})


def symbols_and_floats(data: bytes, at_once: int) -> tuple[bytes, bytes]:
    """Return the symbols of all tiles as bytes, and the synthesis of each tile's latent before rounding."""
    container = parse_container(data)
    header = container.header
    model = load_model(header.model_id)

    def one(tile: Tile, payload: TilePayload) -> tuple[bytes, bytes]:
        decoded = decode_symbols(model, tile, payload, header.rate_index)
        base = model.config.base_rate_index(header.rate_index)
        with torch.inference_mode():
            y_hat = torch.from_numpy(dequantise_tile(model, decoded, base))[None]
            floats = float_network(model).g_s(y_hat, rate_point_tensor(base)).contiguous().numpy().tobytes()
        symbols = decoded.z.astype("<i2").tobytes() + decoded.r.astype("<i2").tobytes()
        if payload.detail is not None:
            detail = decode_detail(model, tile, payload.detail).coefficients
            symbols += detail.q.astype("<i2").tobytes() + detail.scale_index.tobytes()
        return symbols, floats

    tiles = tile_grid(header.width, header.height, header.tile_size)
    if at_once == 1:
        # On this thread, so that the setting of torch's own threads applies.
        parts = [one(*pair) for pair in zip(tiles, container.tiles, strict=True)]
    else:
        with ThreadPoolExecutor(at_once) as pool:
            parts = list(pool.map(one, tiles[::-1], container.tiles[::-1]))[::-1]
    return b"".join(part[0] for part in parts), b"".join(part[1] for part in parts)


def all_samples(files: list[Path], threads: int, at_once: int) -> dict[str, np.ndarray]:
    """Return the samples of files by name, decoded with the public classes."""
    if at_once == 1:
        decoder = Decoder(threads=threads)
        return {file.stem: np.asarray(decoder.decode(file.read_bytes())) for file in files}
    backwards = files[::-1]
    several = Decoder(threads=at_once).map(file.read_bytes() for file in backwards)
    return {file.stem: np.asarray(made) for file, made in zip(backwards, several, strict=True)}


def own_file(picture: Path, threads: int) -> dict[str, np.ndarray]:
    """Return a picture encoded in this process, and its samples decoded in this process."""
    own = Encoder(50, threads=threads).encode(picture)
    pixels = np.asarray(Decoder(threads=threads).decode(own))
    return {"own_file": np.frombuffer(own, np.uint8), "own_pixels": pixels}


def sha256(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-onednn", action="store_true")
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--at-once", default="1")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.no_onednn:
        torch.backends.mkldnn.set_flags(False)
    if options.rows:
        store_rows(load_model(default_model_id()))
    record: dict[str, Any] = {"torch": torch.__version__, "symbols": [], "floats": []}
    rounds = []
    for at_once in map(int, options.at_once.split(",")):
        parts = [symbols_and_floats(file.read_bytes(), at_once) for file in options.files]
        record["symbols"].append(sha256(part[0] for part in parts))
        record["floats"].append(sha256(part[1] for part in parts))
        rounds.append(all_samples(options.files, options.threads, at_once))
    samples = {name: np.stack([found[name] for found in rounds]) for name in rounds[0]}
    own = own_file(options.picture, options.threads) if options.picture else {}
    np.savez(options.out, **samples, **own)
    print(json.dumps(record))


if __name__ == "__main__":
    main()
