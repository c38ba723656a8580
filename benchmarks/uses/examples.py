"""One picture for each use, from pictures of scikit-image, all CC0.

chelsea: Stefan van der Walt, coffee: Rachel Michetti, brick: CC0Textures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from defects import add_defect, holes
from matplotlib.figure import Figure
from measure import crops, read, skimage_folder
from numpy.typing import NDArray
from PIL import Image

from codec.cli.folders import contact_sheet, save_animation
from codec.train.classical import digits, train_classical
from codec.vae import AnomalyModel, elbo, impute, interpolate, sample, traverse
from codec.vae.anomaly import heat_map


def draw(folder: Path) -> None:
    """Write all example pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    chelsea = read(skimage_folder() / "chelsea.png")[20:276, 110:366]
    coffee = read(skimage_folder() / "coffee.png")[60:316, 180:436]
    _elbo(folder, chelsea)
    _save(folder / "samples.webp", contact_sheet(sample(8, seed=1), 4))
    frames = interpolate(chelsea, coffee, 7)
    _save(folder / "interpolate.webp", contact_sheet([frame[::2, ::2] for frame in frames], 7))
    save_animation(folder / "interpolate-animated.webp", frames, force=True)
    _save(folder / "traverse.webp", contact_sheet([f[::2, ::2] for f in traverse(chelsea, 1)], 7))
    _anomaly(folder)
    missing = holes("scratches", 256, 256, 3) | holes("squares", 256, 256, 3)
    torn = np.where(missing[..., None], 255, chelsea).astype(np.uint8)
    _save(folder / "impute.webp", contact_sheet([torn, impute(torn, missing)[0]], 2))
    _classical(folder)


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    Image.fromarray(pixels).save(path, "WEBP", quality=80, method=6)


def _elbo(folder: Path, pixels: NDArray[np.uint8]) -> None:
    figure = Figure(figsize=(6.4, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(pixels)
    shown = right.imshow(elbo(pixels).cells(), cmap="viridis")
    figure.colorbar(shown, ax=right, label="bits per pixel")
    for axes in (left, right):
        axes.set_axis_off()
    figure.savefig(folder / "elbo.png", dpi=80, metadata={"Software": None})


def _anomaly(folder: Path) -> None:
    parts = crops(read(skimage_folder() / "brick.png"), 16)
    model = AnomalyModel.fit(parts[:8])
    rng = np.random.default_rng(5)
    bad = [add_defect(parts[8 + i], kind, rng)[0] for i, kind in enumerate(("scratch", "blob", "noise"))]
    shown = [*bad, *(heat_map(p, model.score(p).cells) for p in bad)]
    _save(folder / "anomaly.webp", contact_sheet(shown, 3))


def _classical(folder: Path) -> None:
    flat = train_classical(digits(), latent=2)
    grid = Image.fromarray(flat.latent_map())
    figure = Figure(figsize=(4.4, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.asarray(grid), cmap="gray", extent=(-2.5, 2.5, -2.5, 2.5))
    axes.set_xlabel("z 0")
    axes.set_ylabel("z 1")
    figure.savefig(folder / "latent-map.png", dpi=80, metadata={"Software": None})
    drawn = train_classical(digits()).sample(40, seed=1)
    sheet = Image.fromarray(contact_sheet(list(drawn), 10, gap=1))
    sheet.resize((sheet.width * 4, sheet.height * 4), Image.Resampling.NEAREST).save(folder / "digits.png")
