"""Measure rate and distortion of a model in training, and calibrate the quality against WebP."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX, RATE_POINTS
from codec.decode.decoder import Decoder
from codec.encode.encoder import Encoder
from codec.errors import TrainingError
from codec.image.similarity import MAX_DB, psnr
from codec.inference.weights import load_model
from codec.model.config import SCALE_LOG_STEP, SCALE_MIN
from codec.model.index import HIGHEST, INDEX, LOWEST, default_model_id, select_folder, write_index
from codec.train.crops import list_pictures
from codec.train.model import TrainModel

# Qualities that are matched with WebP.
QUALITIES = np.arange(5, 100, 5)
# Spacing of the rate indices that are measured for that.
RATE_INDEX_STEP = 128
# Rate index of quality 100: WebP reaches no PSNR as high, because it halves the resolution of colour.
TOP = 3328


@dataclasses.dataclass
class RatePoint:
    """Means over pictures at one rate point.

    rate: the rate point, 0..10. bpp, bpp_z: bits per pixel in all and of z alone. psnr: in dB.
    """

    rate: float
    bpp: float
    bpp_z: float
    psnr: float


def _gaussian_bits(r: Tensor, scale_index: Tensor) -> Tensor:
    sigma = SCALE_MIN * (scale_index * SCALE_LOG_STEP).exp()
    upper = torch.special.ndtr((0.5 - r.abs()) / sigma)
    lower = torch.special.ndtr((-0.5 - r.abs()) / sigma)
    bits = -(upper - lower).clamp(min=2.0**-24).log2()
    return torch.where(scale_index > 0, bits, torch.zeros_like(bits))


@torch.no_grad()
def picture_point(model: TrainModel, x: Tensor, rate_point: float) -> tuple[float, float, float]:
    """Return bits of y, bits of z and MSE over [0, 1] samples of one picture x, float [1, 3, H, W]."""
    q = torch.tensor([rate_point])
    net = model.network
    y = net.scale_latent(net.g_a(x), q)
    symbols, _ = model.quantise(y, net.h_a(y), q)
    bits_y = float(_gaussian_bits(symbols.r, symbols.scale_index).sum())
    nearest = min(RATE_POINTS - 1, int(rate_point + 0.5))
    all_points = symbols.z.repeat(1, RATE_POINTS, 1, 1)
    channels = model.config.h
    # The density evaluates all rate points at once; only the nearest one is used.
    likelihood, _, _ = model.density._likelihood(all_points.transpose(0, 1).flatten(1)[:, None])
    likelihood = likelihood.reshape(RATE_POINTS, channels, -1)[nearest].clamp(min=2.0**-24)
    x_hat = net.g_s(net.unscale_latent(symbols.y_hat, q), q).clamp(0, 1).mul(255).round().div(255)
    return bits_y, float(-likelihood.log2().sum()), float((x_hat - x).square().mean())


def evaluate(model: TrainModel, pictures: Tensor, rate_points: list[float]) -> list[RatePoint]:
    """Return the means over pictures, uint8 [N, 3, H, W], at each of the rate points, in 0..10."""
    points = []
    for rate_point in rate_points:
        rows = []
        for picture in pictures:
            x = (picture[None].float() / 255).contiguous(memory_format=torch.channels_last)
            bits_y, bits_z, mse = picture_point(model, x, rate_point)
            pixels = x.shape[2] * x.shape[3]
            rows.append(
                [(bits_y + bits_z) / pixels, bits_z / pixels, -10 * torch.tensor(max(mse, 1e-10)).log10()]
            )
        mean = torch.tensor(rows).mean(0).tolist()
        points.append(RatePoint(rate_point, *mean))
    return points


def _webp(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", quality=quality, method=6)
    with Image.open(stream) as image:
        return np.asarray(image.convert("RGB"))


def measured_rate_indices(detail_from: int) -> NDArray[np.int64]:
    """Return the rate indices to measure, and among them both sides of where detail layers begin."""
    every = range(0, MAX_HEADER_RATE_INDEX + 1, RATE_INDEX_STEP)
    return np.array(sorted({*every, detail_from, detail_from + 1}))


def calibrate(images: Path, weights: Path) -> list[tuple[float, int, float]]:
    """Calibrate the model in folder `weights` on a folder of pictures.

    Write the pairs (quality, rate index) to the index of the folder; return them with the mean PSNR at each.
    Raises TrainingError.
    """
    select_folder(weights)
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in list_pictures(images)]
    encoder, decoder = Encoder(), Decoder()
    detail_from = load_model(default_model_id()).config.detail_from
    rate_indices = measured_rate_indices(detail_from)
    ours = []
    for rate_index in rate_indices:
        encoder.rate_index = int(rate_index)
        ours.append(np.mean([psnr(p, np.asarray(decoder.decode(encoder.encode(p)))) for p in pictures]))
    theirs = [np.mean([psnr(p, _webp(p, int(q))) for p in pictures]) for q in QUALITIES]
    points = match(np.array(theirs), np.array(ours), rate_indices, detail_from)
    index = json.loads((weights / INDEX).read_text(encoding="utf-8"))
    index["models"][index["default"]]["calibration"] = points
    write_index(weights, index)
    return [(q, r, float(np.interp(r, rate_indices, ours))) for q, r in points]


def match(
    theirs: NDArray[np.float64],
    ours: NDArray[np.float64],
    rate_indices: NDArray[np.int64],
    detail_from: int,
) -> list[tuple[float, int]]:
    """Return pairs (quality, rate index) of equal mean PSNR, between those of qualities 0 and 100.

    theirs: mean PSNR of WebP at QUALITIES. ours: that of vaezip at rate_indices. Qualities that have no rate
    index between their neighbours' are left out. The PSNR may jump after detail_from, so the rate indices up
    to there and those beyond are matched apart. Raises TrainingError unless the PSNR increases in both,
    up to where all pictures are lossless.
    """
    base = rate_indices <= detail_from
    parts = theirs, ours[base], ours[~base]
    if any(((np.diff(part) <= 0) & (part[1:] < MAX_DB)).any() for part in parts):
        raise TrainingError(
            "mean PSNR does not increase with the rate index, so quality cannot be calibrated; train longer"
        )
    points = [(LOWEST, 0)]
    for quality, wanted in zip(QUALITIES.tolist(), theirs, strict=True):
        part = base if wanted <= ours[base][-1] else ~base
        matched = round(float(np.interp(wanted, ours[part], rate_indices[part])))
        if points[-1][1] < matched < TOP:
            points.append((float(quality), matched))
    return [*points, (HIGHEST, TOP)]
