"""Decode on another processor architecture and compare with this one; run by hand before a release.

    python tests/exactness/processors.py qemu-aarch64 -L ROOT ROOT/usr/bin/python3.11 > RESULT.json

The arguments are a command that starts a Python for that processor, with numpy, onnxruntime, pillow and
safetensors on its PYTHONPATH, and constriction if available. It decodes the golden files and a quarter-width
test photo that is coded here at three qualities. It also codes that photo, and this machine decodes the
result. Symbols must be identical; samples may differ by one level.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from codec.inference.weights import LoadedModel

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
PICTURE = ROOT / "tests" / "assets" / "chelsea.png"
QUALITIES = (5, 50, 100)


def child(out: Path, files: list[Path]) -> dict[str, object]:
    """Decode on the current machine; write samples to `out` and return the other results.

    The last of the files is encoded here if it does not exist.
    """
    from codec.decode.decoder import Decoder
    from codec.encode.encoder import Encoder
    from codec.entropy.range_coder import BEST
    from codec.inference.onnx_backend import onnxruntime
    from codec.inference.weights import load_model

    if not files[-1].exists():
        files[-1].write_bytes(Encoder(50, threads=1).encode(small_photo()))
    symbols, samples = {}, {}
    for file in files:
        data = file.read_bytes()
        symbols[file.stem] = symbol_hash(data, load_model)
        samples[file.stem] = np.asarray(Decoder(threads=1).decode(data))
    np.savez(out, **samples)
    return {
        "processor": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "range_coder": BEST.name,
        "symbols": symbols,
    }


def symbol_hash(data: bytes, load_model: Callable[[bytes], LoadedModel]) -> str:
    """Return the sha256 of all symbols of a file's learned tiles and their detail layers."""
    from codec.bitstream.container import parse_container
    from codec.bitstream.geometry import tile_grid
    from codec.bitstream.tile_payloads import TilePayload
    from codec.decode.symbols import decode_detail, decode_symbols

    found = parse_container(data)
    header, digest = found.header, hashlib.sha256()
    grid = tile_grid(header.width, header.height, header.tile_size)
    for tile, payload in zip(grid, found.tiles, strict=True):
        if isinstance(payload, TilePayload):
            model = load_model(header.model_id)
            decoded = decode_symbols(model, tile, payload, header.rate_index)
            digest.update(decoded.z.astype("<i2").tobytes() + decoded.r.astype("<i2").tobytes())
            if payload.detail is not None:
                detail = decode_detail(model, tile, payload.detail).coefficients
                digest.update(detail.q.astype("<i2").tobytes() + detail.scale_index.tobytes())
    return digest.hexdigest()


def run(command: list[str], out: Path, files: list[Path]) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """Run the child under a command; return what it printed, and samples by file name."""
    printed = run_child(command, __file__, out, files)
    with np.load(out) as stored:
        return printed, dict(stored)


def run_child(command: list[str], script: str, path: Path, files: list[Path]) -> dict[str, object]:
    """Run a script of this folder in child mode under a command; return what it printed."""
    python_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": python_path, "VAEZIP_BACKEND": "onnx"}
    whole = [*command, script, "--child", str(path), *map(str, files)]
    done = subprocess.run(whole, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    printed: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return printed


def files_to_decode(folder: Path) -> list[Path]:
    """Return the golden files and, written to `folder`, a photo coded on this machine."""
    from codec.encode.encoder import Encoder

    files = sorted((ROOT / "tests" / "golden" / "v0").glob("*.vae"))
    for quality in QUALITIES:
        files.append(folder / f"photo-q{quality}.vae")
        files[-1].write_bytes(Encoder(quality).encode(small_photo()))
    return files


def small_photo() -> Image.Image:
    with Image.open(PICTURE) as photo:
        return photo.convert("RGB").reduce(4)


def compared(
    symbols: dict[str, str],
    other_symbols: dict[str, str],
    samples: dict[str, np.ndarray],
    other_samples: dict[str, np.ndarray],
) -> dict[str, int]:
    """Return the number of files with identical symbols, and the differences of samples."""
    off = np.concatenate([(other_samples[name].astype(int) - samples[name]).ravel() for name in samples])
    return {
        "files": len(symbols),
        "files_with_the_same_symbols": sum(other_symbols[name] == symbols[name] for name in symbols),
        "samples": off.size,
        "samples_that_differ": int(np.count_nonzero(off)),
        "largest_difference": int(np.abs(off).max()),
    }


def main() -> int:
    if sys.argv[1] == "--child":
        print(json.dumps(child(Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [*files_to_decode(folder), folder / "coded-there.vae"]
        there, others = run(sys.argv[1:], folder / "there.npz", files)
        here, samples = run([sys.executable], folder / "here.npz", files)
    found = compared(here.pop("symbols"), there.pop("symbols"), samples, others)
    print(json.dumps({"here": here, "there": there, **found}, indent=1))
    return int(found["files_with_the_same_symbols"] < len(files) or found["largest_difference"] > 1)


if __name__ == "__main__":
    sys.exit(main())
