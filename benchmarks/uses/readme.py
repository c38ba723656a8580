"""README's block about the other uses, from uses.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from codec.bench.report.readme import replace_between

START, END = "<!-- uses: start, written by benchmarks/uses/run.py -->", "<!-- uses: end -->"


def block(found: dict[str, Any]) -> str:
    """Return the text between the markers; parts that were not measured are left out."""
    makers = {
        "anomalies": _anomalies,
        "imputation": _imputation,
        "generation": _generation,
        "digits": _digits,
        "examples": _examples,
    }
    return "\n\n".join(make(found[part]) for part, make in makers.items() if part in found)


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


def _examples(part: dict[str, Any]) -> str:
    rows = [f"| {text} | ![{text}]({part['folder']}/{name}) |" for name, text in PICTURES.items()]
    credit = (
        "Pictures: chelsea by Stefan van der Walt and coffee by Rachel Michetti, brick from CC0Textures, all "
        "CC0, from scikit-image."
    )
    return "\n".join(["| example | |", "|---|---|", *rows, "", credit])


def _digits(part: dict[str, Any]) -> str:
    left, half = part["class_left_out"], part["missing_half"]
    return (
        "Digits with one class left out of the fit, mean AUROC over the ten: classical VAE "
        f"{left['classical_vae']:.2f}, PCA {left['pca']:.2f}, JPEG size {left['jpeg_size']:.2f}. Lower "
        f"halves of held-out digits, filled in from the upper: {half['classical_vae']:.1f} dB, with the "
        f"mean digit {half['mean_digit']:.1f} dB."
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
        "Made defects on the upper halves of three textures (brick, grass, gravel), normal learnt from the "
        "lower halves, mean of the three; the score was settled on the lower halves and with other draws. "
        "The last column is the mean of the first three defects on photos of mixed content:"
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
    intro = (
        f"Imputation in the middle {crop}x{crop} of {part['pictures']} pictures of Kodak, mean over pictures:"
    )
    return f"{intro}\n\n" + "\n".join(lines)


def _generation(part: dict[str, Any]) -> str:
    real, drawn, settings = part["held_out_digits"], part["samples"], part["settings"]
    photos, textures = part["codec"]["photos"], part["codec"]["samples_t1"]
    options = " ".join(f"--{name} {value}" for name, value in settings.items())
    return (
        f"Of {sum(drawn['classes'])} digits drawn from a classical VAE (`{options}`, half of the digits), a "
        f"classifier that reads {part['classifier_accuracy']:.1%} of the other half is at least 90 % sure of "
        f"{drawn['share_at_0.9']:.0%} (real ones: {real['share_at_0.9']:.0%}), and "
        f"{sum(c > 0 for c in drawn['classes'])} of 10 classes appear. They are no copies: the nearest digit "
        f"learnt from is {drawn['nearest']:.3f} away (RMS, median), from real ones of the other half "
        f"{real['nearest']:.3f}. The codec's own samples are textures: {textures['bpp']:.2f} bpp, contrast "
        f"(standard deviation) {textures['std']:.0f}, mean step between neighbours "
        f"{textures['gradient']:.1f}; two photos: {photos['bpp']:.2f} bpp, {photos['std']:.0f} and "
        f"{photos['gradient']:.1f}."
    )


def write(file: Path, found: dict[str, Any]) -> None:
    """Replace the part of README between the markers."""
    text = file.read_text(encoding="utf-8")
    file.write_text(replace_between(text, START, END, block(found)), encoding="utf-8")
