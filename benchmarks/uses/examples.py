"""Draw one example picture for each use, from pictures of scikit-image, all CC0.

chelsea: Stefan van der Walt, coffee: Rachel Michetti, brick: CC0Textures.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from benchmarks.uses.defects import add_defect, holes
from benchmarks.uses.measure import DRAWN, FOR_SAMPLES, SEED, crops, read, skimage_folder
from codec.cli.output_formats import contact_sheet
from codec.train.classical_trainer import digits, train_classical
from codec.vae import AnomalyModel, elbo, impute, interpolate, sample, traverse
from codec.vae.anomaly_detection import heat_map

STEPS = (-48, -32, -16, 0, 16, 32, 48)


def draw(folder: Path) -> None:
    """Write all example pictures to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    chelsea = read(skimage_folder() / "chelsea.png")[20:276, 110:366]
    coffee = read(skimage_folder() / "coffee.png")[60:316, 180:436]
    _elbo(folder, chelsea)
    _save(folder / "samples.webp", contact_sheet(sample(DRAWN, seed=1), 4))
    frames = interpolate(chelsea, coffee, 7)
    _save(folder / "interpolate.webp", contact_sheet([frame[::2, ::2] for frame in frames], 7))
    _save(folder / "traverse.webp", contact_sheet([f[::2, ::2] for f in traverse(chelsea, 1, STEPS)], 7))
    _anomaly(folder)
    missing = holes("scratches", 256, 256, 3) | holes("squares", 256, 256, 3)
    torn = np.where(missing[..., None], 255, chelsea).astype(np.uint8)
    _save(folder / "impute.webp", contact_sheet([torn, impute(torn, missing)[0]], 2))
    _classical(folder)


def _save(path: Path, pixels: NDArray[np.uint8], *, lossless: bool = False) -> None:
    Image.fromarray(pixels).save(path, "WEBP", quality=75, method=6, lossless=lossless)


def _save_figure(path: Path, figure: Figure) -> None:
    stream = io.BytesIO()
    figure.savefig(stream, dpi=80)
    with Image.open(stream) as drawn:
        _save(path, np.asarray(drawn.convert("RGB")))


def _elbo(folder: Path, pixels: NDArray[np.uint8]) -> None:
    figure = Figure(figsize=(6.4, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(pixels)
    shown = right.imshow(elbo(pixels).cells(), cmap="viridis")
    figure.colorbar(shown, ax=right, label="bits per pixel")
    for axes in (left, right):
        axes.set_axis_off()
    _save_figure(folder / "elbo.webp", figure)


def _anomaly(folder: Path) -> None:
    whole = read(skimage_folder() / "brick.png")
    model, parts = AnomalyModel.fit(crops(whole[256:])), crops(whole[:256])
    rng = np.random.default_rng(5)
    bad = [add_defect(parts[i], kind, rng)[0] for i, kind in enumerate(("scratch", "blob", "noise"))]
    shown = [*bad, *(heat_map(p, model.score(p).cells) for p in bad)]
    _save(folder / "anomaly.webp", contact_sheet(shown, 3))


def _classical(folder: Path) -> None:
    model = train_classical(digits(), **FOR_SAMPLES)
    figure = Figure(figsize=(4.4, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(model.latent_map(), cmap="gray", extent=(-2.5, 2.5, -2.5, 2.5))
    axes.set_xlabel("z 0")
    axes.set_ylabel("z 1")
    _save_figure(folder / "latent-map.webp", figure)
    sheet = Image.fromarray(contact_sheet(list(model.sample(40, seed=SEED)), 10, gap=1))
    grown = sheet.resize((sheet.width * 4, sheet.height * 4), Image.Resampling.NEAREST)
    _save(folder / "digits.webp", np.asarray(grown), lossless=True)
