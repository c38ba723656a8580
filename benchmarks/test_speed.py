"""Measure the speed of vaezip, CompressAI's models and Pillow's codecs, in one run on one machine.

    python -m pytest benchmarks/test_speed.py --benchmark-json=timings.json
    python -m benchmarks.summarise_speed timings.json speed.json

Times depend on the machine and its load, so only ratios within one run are reported. The picture is the photo
in tests/assets, extended by mirroring. CompressAI's models run with their own coder and untrained weights:
their layers cost the same, but their coder gets other symbols than with trained weights. They are skipped if
compressai is not installed; it has wheels for Python 3.11 and 3.12 only.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import codec
from benchmarks.common import mirrored_photo, peak_bytes, usual
from codec.bench.codecs import MissingCodec, find_codec
from codec.bitstream.geometry import tile_grid
from codec.bitstream.rate_index import nearest_rate_point
from codec.encode.tile_coder import tile_symbols
from codec.entropy.steps import STEPS
from codec.inference.weights import load_model
from codec.model.index import default_model_id

SIZES = usual(
    {"kodak": (768, 512), "2mpx": (1632, 1224), "12mpx": (4000, 3000)},
    small={"kodak": (64, 48), "2mpx": (64, 48), "12mpx": (64, 48)},
)
THREADS = (1, 2)
RATE_INDEX = 1664  # of 0..2560, about 0.8 bits per pixel on photographs
QUALITIES = {"jpeg": 75, "webp": 75, "avif": 65}
PEERS = {"bmshj2018-hyperprior": "bmshj2018_hyperprior", "mbt2018-mean": "mbt2018_mean"}


@functools.cache
def picture(size: str) -> np.ndarray:
    """Return the samples of a photo: uint8 [H, W, 3]."""
    width, height = SIZES[size]
    return mirrored_photo(width, height)


def time(benchmark: Any, size: str, name: str, way: str, threads: int, function: Callable[[], Any]) -> Any:
    """Time a call often enough for a median, and record what the summary needs."""
    width, height = SIZES[size]
    benchmark.group = f"{way}, {size}, {threads} threads"
    benchmark.extra_info |= {
        "name": name, "way": way, "size": size, "threads": threads, "mpx": width * height / 1e6,
    }  # fmt: skip
    rounds = {"kodak": 7, "2mpx": 3, "12mpx": 1}[size]
    return benchmark.pedantic(function, rounds=rounds, warmup_rounds=1 if rounds > 1 else 0)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["encode", "decode"])
def test_vaezip(benchmark: Any, size: str, threads: int, way: str) -> None:
    """Time the public classes, with the model loaded."""
    encoder, decoder = codec.Encoder(threads=threads), codec.Decoder(threads=threads)
    encoder.rate_index = RATE_INDEX
    if way == "encode":
        time(benchmark, size, "vaezip", way, threads, lambda: encoder.encode(picture(size)))
    else:
        data = encoder.encode(picture(size))
        decoded = time(benchmark, size, "vaezip", way, threads, lambda: np.asarray(decoder.decode(data)))
        assert decoded.shape == picture(size).shape


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", QUALITIES)
@pytest.mark.parametrize("way", ["encode", "decode"])
def test_pillow(benchmark: Any, size: str, name: str, way: str) -> None:
    """Time Pillow's codecs with the settings of the rate-distortion runs, on one thread."""
    row = find_codec(name)
    try:
        row.version()
    except MissingCodec as error:
        pytest.skip(str(error))
    if way == "encode":
        time(benchmark, size, name, way, 1, lambda: row.encode(picture(size), QUALITIES[name]))
    else:
        data = row.encode(picture(size), QUALITIES[name])
        time(benchmark, size, name, way, 1, lambda: row.decode(data))


@functools.cache
def peer(name: str) -> Any:
    """Return one of CompressAI's models, untrained, ready to code."""
    if importlib.util.find_spec("compressai") is None:
        pytest.skip("needs compressai: pip install 'vaezip[train]' on Python 3.11 or 3.12")
    from compressai import zoo

    torch.manual_seed(1)
    model = getattr(zoo, PEERS[name])(quality=5, pretrained=False).eval()
    model.update()
    return model


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("size", ["kodak", "2mpx"])  # 12 megapixels would take minutes and gigabytes
@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("way", ["encode", "decode"])
def test_compressai(benchmark: Any, size: str, threads: int, name: str, way: str) -> None:
    """Time CompressAI's models from and to samples in memory; pictures are padded to multiples of 64."""
    model = peer(name)
    pixels = picture(size)
    height, width = pixels.shape[:2]

    def encode() -> Any:
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        padded = torch.nn.functional.pad(x, (0, -width % 64, 0, -height % 64), mode="replicate")
        return model.compress(padded)

    def decode() -> np.ndarray:
        x_hat = model.decompress(coded["strings"], coded["shape"])["x_hat"][0, :, :height, :width]
        return (x_hat.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            coded = encode()
            time(benchmark, size, name, way, threads, encode if way == "encode" else decode)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("way", ["encode", "decode"])
def test_entropy_coder(benchmark: Any, way: str) -> None:
    """Time the entropy coder alone, on the symbols of one tile of 512x512."""
    model = load_model(default_model_id())
    tile = tile_grid(512, 512, 512)[0]
    pixels = np.ascontiguousarray(picture("kodak")[:512, :512])
    symbols = tile_symbols(model, pixels, tile, RATE_INDEX)
    rate_point = nearest_rate_point(RATE_INDEX)
    benchmark.group = "entropy coder"
    benchmark.extra_info |= {"symbols": symbols.z.size + symbols.r.size, "way": way}
    benchmark.extra_info["coded"] = symbols.z.size + int(np.count_nonzero(symbols.scale_index))
    words = model.coder.encode(symbols.z, symbols.r, symbols.scale_index, rate_point)

    def decode() -> np.ndarray:
        decoder = model.coder.decoder(words, rate_point)
        decoder.z(*symbols.z.shape[-2:])
        for _ in range(STEPS):
            r = decoder.r(symbols.scale_index)
        return r

    if way == "encode":
        benchmark.pedantic(
            lambda: model.coder.encode(symbols.z, symbols.r, symbols.scale_index, rate_point),
            rounds=15,
            warmup_rounds=2,
        )
    else:
        decoded = benchmark.pedantic(decode, rounds=15, warmup_rounds=2)
        assert (decoded == symbols.r).all()


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("what", ["help", "info", "compress", "decompress"])
def test_cold_start(benchmark: Any, what: str, tmp_path: Path) -> None:
    """Time the whole command on one 768x512 picture, and record its peak memory."""
    measure_command(benchmark, what, "kodak", tmp_path, rounds=usual(3, small=1))


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("size", ["2mpx", "12mpx"])
@pytest.mark.parametrize("what", ["compress", "decompress"])
def test_peak_memory(benchmark: Any, what: str, size: str, tmp_path: Path) -> None:
    """Measure the peak memory of the command on large pictures."""
    measure_command(benchmark, what, size, tmp_path, rounds=1)


def measure_command(benchmark: Any, what: str, size: str, folder: Path, rounds: int) -> None:
    """Time a command and record its peak memory."""
    source, coded, again = folder / "in.png", folder / "in.vae", folder / "out.png"
    Image.fromarray(picture(size)).save(source, compress_level=1)
    compress = ("compress", "-Q", "-f", str(source), "-o", str(coded))
    if what in ("info", "decompress"):
        peak_bytes(*compress)
    arguments = {
        "help": ("--help",),
        "info": ("info", str(coded)),
        "compress": compress,
        "decompress": ("decompress", "-Q", "-f", str(coded), "-o", str(again)),
    }[what]
    peaks = []
    benchmark.group = "command"
    benchmark.pedantic(lambda: peaks.append(peak_bytes(*arguments)), rounds=rounds)
    benchmark.extra_info |= {"command": what, "size": size, "peak_bytes": max(peaks)}
