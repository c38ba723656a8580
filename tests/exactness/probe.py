"""One cell of the matrix: decode .vae files under some setting of torch, and say what came out.

    python probe.py [--threads N] [--no-onednn] --picture PICTURE --out OUT.npz FILES...

Prints one line of JSON: the sha256 of all symbols of FILES, of the float output of the synthesis network, and
the version of torch. OUT.npz receives the samples of FILES, and a file encoded here from PICTURE with the
samples decoded here from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from codec.bitstream.container import parse_container
from codec.bitstream.geometry import tile_grid
from codec.decoder import Decoder, decode_symbols
from codec.encoder import Encoder
from codec.model.rates import rate_tensor
from codec.model.weights import load_model
from codec.runtime.latents import dequantise_tile


def symbols_and_floats(data: bytes) -> tuple[bytes, bytes]:
    """Symbols of all tiles as bytes, and the synthesis of each tile's latents before rounding."""
    container = parse_container(data)
    header = container.header
    model = load_model(header.model_id)
    symbols, floats = b"", b""
    for tile, payload in zip(
        tile_grid(header.width, header.height, header.tile_size), container.tiles, strict=True
    ):
        # On this very thread, so that the setting of torch's own threads counts too.
        decoded = decode_symbols(model, tile, payload, header.quality)
        symbols += decoded.z.astype("<i2").tobytes() + decoded.r.astype("<i2").tobytes()
        with torch.inference_mode():
            y_hat = torch.from_numpy(dequantise_tile(model, decoded, header.quality))[None]
            floats += model.network.g_s(y_hat, rate_tensor(header.quality)).contiguous().numpy().tobytes()
    return symbols, floats


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-onednn", action="store_true")
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.no_onednn:
        torch.backends.mkldnn.set_flags(False)
    decoder = Decoder(threads=options.threads)
    parts = [symbols_and_floats(file.read_bytes()) for file in options.files]
    pixels = {file.stem: np.asarray(decoder.decode(file.read_bytes())) for file in options.files}
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
