"""Committed files that must decode to the same symbols and the same picture in every release.

`SHA256SUMS.json` lists for every file the sha256 of its bytes and of its symbols (of its samples for a
lossless tile), and the PSNR of its picture. A missing file or entry is a failure. `pytest tests/golden
--regenerate-goldens` rewrites all of them with the installed weights. That is allowed when the weights
change before version 1.0, and never after it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from codec.bitstream.container import parse_container
from codec.bitstream.geometry import tile_grid
from codec.bitstream.tile_payloads import LosslessTile
from codec.decode.decoder import Decoder
from codec.decode.symbols import decode_detail, decode_symbols
from codec.encode.encoder import Encoder
from codec.image.lossless import unpack
from codec.inference.weights import load_model

FOLDER = Path(__file__).parent / "v0"
SUMS = FOLDER / "SHA256SUMS.json"
GOLDENS = {
    "cat-64x48-q10.vae": ("cat", 64, 48, 10),
    "cat-521x101-q50.vae": ("cat", 521, 101, 50),
    "cat-97x65-q90.vae": ("cat", 97, 65, 90),
    "stripes-70x50-q10.vae": ("stripes", 70, 50, 10),
    "page-120x40-q50.vae": ("page", 120, 40, 50),
    "faded-90x70-q50.vae": ("faded", 90, 70, 50),
    "lined-120x90-q40.vae": ("lined", 120, 90, 40),
    "cat-130x70-q97.vae": ("cat", 130, 70, 97),
}


def recorded() -> dict[str, dict[str, object]]:
    return json.loads(SUMS.read_text(encoding="utf-8")) if SUMS.is_file() else {}


NAMES = sorted({*GOLDENS, *recorded()})


def stripes(width: int, height: int) -> np.ndarray:
    """Red and blue stripes of two pixels, unlike any photo; low qualities may need the lift flag."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 2] = np.arange(width) // 2 % 2 * 255
    pixels[..., 0] = 255 - pixels[..., 2]
    return pixels


def page(width: int, height: int) -> np.ndarray:
    """Bars and boxes on white; no text, because fonts change with Pillow."""
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    for x in range(4, width - 6, 7):
        pen.rectangle((x, 5 + x % 11, x + 3, height - 4 - x % 5), fill=(x, 40, 255 - x))
    return np.asarray(image)


@pytest.fixture(scope="session")
def source(photo):
    """Return a function: name of a golden -> the picture it was made from."""

    def faded(width, height):
        """Alpha from 1 to 255; 0 is left out because it would hide colours."""
        alpha = np.linspace(1, 255, width).astype(np.uint8)
        return np.dstack([photo(width, height), np.tile(alpha, (height, 1))])

    def lined(width, height):
        """White lines at 45 degrees, which take a detail layer."""
        image = Image.fromarray(photo(width, height))
        pen = ImageDraw.Draw(image)
        for x in range(-height, width, 13):
            pen.line((x, 0, x + height, height), fill="white")
        return np.asarray(image)

    kinds = {"cat": photo, "stripes": stripes, "page": page, "faded": faded, "lined": lined}

    def make(name):
        kind, width, height, _ = GOLDENS[name]
        return kinds[kind](width, height)

    return make


def describe(data: bytes, pixels: np.ndarray) -> dict[str, object]:
    container = parse_container(data)
    header = container.header
    model = load_model(header.model_id)
    symbols = hashlib.sha256()
    for tile, payload in zip(
        tile_grid(header.width, header.height, header.tile_size), container.tiles, strict=True
    ):
        if isinstance(payload, LosslessTile):
            symbols.update(unpack(payload.stream, "golden").tobytes())
            continue
        decoded = decode_symbols(model, tile, payload, header.rate_index)
        for part in (decoded.z, decoded.r):
            symbols.update(part.astype("<i2").tobytes())
        if payload.detail is not None:
            detail = decode_detail(model, tile, payload.detail)
            symbols.update(detail.coefficients.q.astype("<i2").tobytes())
    error = np.square(np.asarray(Decoder().decode(data)).astype(float) - pixels).mean()
    return {
        "file": hashlib.sha256(data).hexdigest(),
        "symbols": symbols.hexdigest(),
        "psnr": round(float(10 * np.log10(255**2 / max(error, 1e-6))), 3),
    }


@pytest.fixture(scope="session", autouse=True)
def regenerated(request, source):
    """Rewrite all goldens if --regenerate-goldens is given."""
    if not request.config.getoption("--regenerate-goldens"):
        return
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.vae"):
        old.unlink()
    sums = {}
    for name, (_, _, _, quality) in GOLDENS.items():
        data = Encoder(quality).encode(Image.fromarray(source(name)))
        (FOLDER / name).write_bytes(data)
        sums[name] = describe(data, source(name))
    SUMS.write_text(json.dumps(sums, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_golden(name, source):
    sums = recorded()
    assert name in sums, f"{SUMS} has no entry {name}"
    assert (FOLDER / name).is_file(), f"{name} is missing; goldens are never removed"
    found = describe((FOLDER / name).read_bytes(), source(name))
    assert found["file"] == sums[name]["file"]
    assert found["symbols"] == sums[name]["symbols"]
    # A few samples may differ by one level between machines.
    assert found["psnr"] == pytest.approx(sums[name]["psnr"], abs=0.01)


def test_every_golden_has_an_entry():
    assert {path.name for path in FOLDER.glob("*.vae")} == set(recorded())


def test_goldens_cover_several_tiles():
    assert any(len(parse_container((FOLDER / name).read_bytes()).tiles) > 1 for name in NAMES)


def test_goldens_cover_the_detail_layer():
    tiles = [tile for name in NAMES for tile in parse_container((FOLDER / name).read_bytes()).tiles]
    details = [tile.detail for tile in tiles if not isinstance(tile, LosslessTile) and tile.detail]
    assert len(details) >= 2
    assert any(tile.detail is None for tile in tiles if not isinstance(tile, LosslessTile))
