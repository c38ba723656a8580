"""Write the results of docs/other-uses.md from uses.json."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT
from codec.bench.readme import replace_between

START, END = "<!-- uses: start, written by benchmarks/uses/run.py -->", "<!-- uses: end -->"


def block(found: dict[str, Any], page: Path) -> str:
    """Return the text between the markers of `page`; parts that were not measured are left out."""
    makers = {
        "anomalies": _anomalies,
        "imputation": _imputation,
        "generation": _generation,
        "digits": _digits,
    }
    texts = [make(found[part]) for part, make in makers.items() if part in found]
    if "examples" in found:
        texts.append(_examples(os.path.relpath(ROOT / found["examples"]["folder"], page.parent)))
    return "\n\n".join(texts)


PICTURES = {
    "elbo.webp": "ELBO: a photo and the bits per pixel of its cells",
    "samples.webp": "Samples of the codec's prior",
    "interpolate.webp": "Interpolation between two photos",
    "traverse.webp": "One latent channel, from -48 to +48 quantiser steps",
    "anomaly.webp": "A scratch, a blob and noise on a texture, and their heat maps",
    "impute.webp": "Imputation: before and after",
    "digits.webp": "Samples of the classical VAE",
    "latent-map.webp": "Its latent space in two dimensions",
}


def _examples(folder: str) -> str:
    rows = [f"| {text} | ![{text}]({folder}/{name}) |" for name, text in PICTURES.items()]
    credit = (
        "Pictures: chelsea by Stefan van der Walt and coffee by Rachel Michetti, brick from CC0Textures, all "
        "CC0, from scikit-image."
    )
    return "\n".join(["| example | |", "|---|---|", *rows, "", credit])


def _digits(part: dict[str, Any]) -> str:
    left, half = part["class_left_out"], part["missing_half"]
    return (
        "Digits, detection of a class left out of the fit, mean AUROC over the ten classes: classical VAE "
        f"{left['classical_vae']:.2f}, PCA {left['pca']:.2f}, JPEG size {left['jpeg_size']:.2f}. Lower "
        f"halves of held-out digits filled in from the upper halves: {half['classical_vae']:.1f} dB; the "
        f"mean digit gives {half['mean_digit']:.1f} dB."
    )


def _anomalies(part: dict[str, Any]) -> str:
    rows = {
        "vaezip": "vaezip, picture",
        "pca": "PCA error, picture",
        "jpeg_size": "JPEG size, picture",
        "vaezip_pixels": "vaezip, pixel",
        "pca_pixels": "PCA error, pixel",
    }
    kinds = list(part["textures"]["vaezip"])
    lines = [f"| AUROC | {' | '.join(kinds)} | same, mixed photos |", "|---" * (len(kinds) + 2) + "|"]
    for name, label in rows.items():
        cells = [f"{part['textures'][name][kind]:.2f}" for kind in kinds]
        lines.append(f"| {label} | {' | '.join(cells)} | {part['mixed_photos'][name][kinds[-1]]:.2f} |")
    intro = (
        "AUROC for synthetic defects on the upper halves of three textures (brick, grass, gravel), with the "
        "model of normal cells fitted on the lower halves; mean of the three. The score was chosen on the "
        "lower halves with other random draws. The last column is the mean of the first three defects on "
        "photographs of mixed content:"
    )
    return f"{intro}\n\n" + "\n".join(lines)


def _imputation(part: dict[str, Any]) -> str:
    names = {
        "vaezip": "vaezip",
        "telea": "OpenCV Telea",
        "navier_stokes": "OpenCV Navier-Stokes",
        "mean_colour": "mean colour",
    }
    lines = [f"| PSNR in the hole | {' | '.join(names.values())} |", "|---" * (len(names) + 1) + "|"]
    for kind, row in part["psnr"].items():
        lines.append(f"| {kind} | {' | '.join(f'{row[name]:.2f} dB' for name in names)} |")
    crop = part["crop"]
    intro = f"Imputation in the central {crop}x{crop} pixels of {part['pictures']} Kodak pictures, mean:"
    return f"{intro}\n\n" + "\n".join(lines)


def _generation(part: dict[str, Any]) -> str:
    real, drawn, settings = part["held_out_digits"], part["samples"], part["settings"]
    photos, textures = part["codec"]["photos"], part["codec"]["samples_t1"]
    options = " ".join(f"--{name} {value}" for name, value in settings.items())
    return (
        f"Samples of a classical VAE (`{options}`, trained on half of the digits): a classifier with "
        f"{part['classifier_accuracy']:.1%} accuracy on the other half assigns at least 90 % confidence to "
        f"{drawn['share_at_0.9']:.0%} of {sum(drawn['classes'])} samples (real digits: "
        f"{real['share_at_0.9']:.0%}), and {sum(c > 0 for c in drawn['classes'])} of 10 classes appear. The "
        f"median RMS distance of a sample to the nearest training digit is {drawn['nearest']:.3f}; for real "
        f"held-out digits it is {real['nearest']:.3f}. Samples of the codec's own prior are textures: "
        f"{textures['bpp']:.2f} bpp, standard deviation {textures['std']:.0f}, mean difference between "
        f"neighbouring samples {textures['gradient']:.1f}; for two photographs: {photos['bpp']:.2f} bpp, "
        f"{photos['std']:.0f} and {photos['gradient']:.1f}."
    )


def write(file: Path, found: dict[str, Any]) -> None:
    """Replace the part of a page between the markers."""
    text = file.read_text(encoding="utf-8")
    file.write_text(replace_between(text, START, END, block(found, file)), encoding="utf-8")
