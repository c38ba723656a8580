"""Fill in missing pixels by decoding the latents that explain the known pixels best.

Gradient descent on y minimises the rate plus the distortion of the known pixels. It runs at increasing rate
indices, from coarse to fine; at each of them z and the scales are computed from the filled picture and fixed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from codec.bitstream.rate_index import STEP_UNITS, nearest_rate_point
from codec.encode.rdo.soft_rate import RateCurve
from codec.errors import UsageError
from codec.image.load import PictureLike, load_rgb
from codec.inference.gradients import Adam
from codec.inference.threads import Progress, map_ordered
from codec.inference.weights import LoadedModel, load_model
from codec.model.index import default_model_id
from codec.networks.layers import rate_point_tensor
from codec.networks.network import float_network
from codec.vae.generation import means, scale_indices

Floats = NDArray[np.float64]

RATE_INDICES = (512, 768, 1024, 1280)
# Iterations at each rate index.
ITERATIONS = 30
LEARNING_RATE = 0.5
# Noise of all samples but the first, in quantiser steps times temperature; decreases to 0 at each rate index.
NOISE = 0.7
# Pixels are filled in by blocks of BLOCK x BLOCK, computed with MARGIN more on each side.
BLOCK, MARGIN = 128, 48
PEAK_SQUARED = 255.0**2


def smooth_fill(x: Floats, missing: NDArray[np.bool_]) -> Floats:
    """Fill x, float64 [H, W, C], smoothly where missing, bool [H, W]; at least one pixel must be known.

    Pull-push: averages of known pixels at ever coarser resolution, interpolated (Gortler et al. 1996).
    """
    weight = (~missing).astype(np.float64)[..., None]
    return _pull_push(x * weight, weight)


def _pull_push(total: Floats, weight: Floats) -> Floats:
    height, width = weight.shape[:2]
    known = total / np.maximum(weight, 1e-12)
    if (weight > 0).all() or (height == 1 and width == 1):
        return known
    coarse = _pull_push(_halved(total), _halved(weight))
    return np.where(weight > 0, known, _doubled(coarse)[:height, :width])


def _halved(a: Floats) -> Floats:
    even = np.pad(a, ((0, a.shape[0] % 2), (0, a.shape[1] % 2), (0, 0)))
    summed: Floats = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return summed


def _doubled(a: Floats) -> Floats:
    size = 2 * a.shape[1], 2 * a.shape[0]
    planes = [Image.fromarray(a[..., c].astype(np.float32)) for c in range(a.shape[2])]
    grown = [np.asarray(plane.resize(size, Image.Resampling.BILINEAR), np.float64) for plane in planes]
    return np.stack(grown, axis=-1)


def impute(
    image: PictureLike,
    missing: NDArray[np.bool_],
    *,
    samples: int = 1,
    seed: int = 0,
    temperature: float = 1.0,
    progress: Progress | None = None,
) -> list[NDArray[np.uint8]]:
    """Fill in the missing pixels of a picture, `samples` times: uint8 [H, W, 3] each; known pixels are kept.

    missing: bool [H, W]. The first result is the most probable one found and does not depend on the seed. For
    the others, noise of the given temperature (0 to 10) is added to the latents during the descent. Only
    blocks with missing pixels are computed. Raises UsageError, UnsupportedImage or LimitExceeded.
    """
    pixels = load_rgb(image)
    if missing.shape != pixels.shape[:2] or missing.dtype != np.bool_:
        raise UsageError(
            f"the mask must be of the picture's size, {pixels.shape[1]}x{pixels.shape[0]}, "
            f"not {missing.shape[1]}x{missing.shape[0]}"
        )
    if missing.all():
        raise UsageError("the mask covers the whole picture; leave some pixels known")
    if samples < 1 or seed < 0 or not 0 <= temperature <= 10:
        raise UsageError("samples must be at least 1, seed at least 0, temperature from 0 to 10")
    if not missing.any():
        return [pixels.copy() for _ in range(samples)]
    model = load_model(default_model_id())
    blocks = list(_blocks(missing))
    start = smooth_fill(pixels / 255, missing)

    def work(index: int) -> NDArray[np.uint8]:
        noise = None if index == 0 else torch.Generator().manual_seed(seed * 1_000_003 + index)
        done = functools.partial(_report, progress, index * len(blocks), samples * len(blocks))
        return _fill(model, pixels, missing, start, blocks, noise, temperature, done)

    # One at a time on a single-threaded worker, so that results do not depend on the number of cores.
    return map_ordered(work, range(samples), 1)


def _report(progress: Progress | None, before: int, total: int, done: int) -> None:
    if progress is not None:
        progress(before + done, total)


def _blocks(missing: NDArray[np.bool_]) -> Iterator[tuple[slice, slice]]:
    for top in range(0, missing.shape[0], BLOCK):
        for left in range(0, missing.shape[1], BLOCK):
            rows, columns = slice(top, top + BLOCK), slice(left, left + BLOCK)
            if missing[rows, columns].any():
                yield rows, columns


def _fill(
    model: LoadedModel,
    pixels: NDArray[np.uint8],
    missing: NDArray[np.bool_],
    start: NDArray[np.float64],
    blocks: list[tuple[slice, slice]],
    noise: torch.Generator | None,
    temperature: float,
    done: Callable[[int], None],
) -> NDArray[np.uint8]:
    filled, unknown = pixels.copy(), missing.copy()
    guess = start.copy()
    for count, (rows, columns) in enumerate(blocks):
        height, width = missing.shape
        top, left = max(0, rows.start - MARGIN), max(0, columns.start - MARGIN)
        wide = slice(top, min(height, rows.stop + MARGIN)), slice(left, min(width, columns.stop + MARGIN))
        x_hat = _window(model, guess[wide], unknown[wide], noise, temperature)
        inner = x_hat[rows.start - top :, columns.start - left :][:BLOCK, :BLOCK]
        inner = inner[: height - rows.start, : width - columns.start]
        hole = missing[rows, columns]
        guess[rows, columns][hole] = inner[hole]
        filled[rows, columns][hole] = np.rint(inner[hole] * 255).astype(np.uint8)
        # Filled pixels count as known in later blocks, so that large holes show no seams.
        unknown[rows, columns] = False
        done(count + 1)
    return filled


def _window(
    model: LoadedModel,
    guess: NDArray[np.float64],
    unknown: NDArray[np.bool_],
    noise: torch.Generator | None,
    temperature: float,
) -> NDArray[np.float64]:
    """Fill one window: float64 [h, w, 3] in [0, 1]. guess: the same, with a start for the unknown pixels."""
    height, width = unknown.shape
    unit = model.config.z_stride
    pad = ((0, -height % unit), (0, -width % unit))
    x = torch.from_numpy(np.pad(guess, (*pad, (0, 0)), mode="edge")).float().permute(2, 0, 1)[None]
    # Padding does not count as known.
    known = torch.from_numpy(~np.pad(unknown, pad, constant_values=True)).float()[None, None]
    current = x
    for rate_index in RATE_INDICES:
        x_hat = _explain(model, current, x, known, rate_index, noise, temperature)
        current = torch.where(known > 0, x, x_hat)
    samples: NDArray[np.float64] = current[0].permute(1, 2, 0)[:height, :width].double().numpy()
    return samples


def _explain(
    model: LoadedModel,
    current: Tensor,
    target: Tensor,
    known: Tensor,
    rate_index: int,
    noise: torch.Generator | None,
    temperature: float,
) -> Tensor:
    """Decode the most probable latents given the known pixels of target: float [1, 3, H, W] in [0, 1].

    current: the picture to start from.
    """
    network, tables = float_network(model), model.coder.tables
    rate_point, lmbda = rate_point_tensor(rate_index), model.config.lmbda(rate_index / STEP_UNITS)
    cost = RateCurve(tables)
    with torch.no_grad():
        y = network.scale_latent(network.g_a(current), rate_point)
        z = tables.clamp_z(network.h_a(y)[0].round().numpy(), nearest_rate_point(rate_index))
        z_hat = torch.from_numpy(z.astype(np.float32))[None]
        # Fixed at their initial values, since they are not differentiable.
        scale_index = scale_indices(model, z, y - means(model, z_hat, y, rate_index), rate_index)
    y = y.clone().requires_grad_(True)
    optimiser = Adam(y, betas=(0.9, 0.95))
    for iteration in range(ITERATIONS):
        left = 1 - iteration / ITERATIONS
        if noise is not None:
            with torch.no_grad():
                y += NOISE * temperature * left**2 * torch.randn(y.shape, generator=noise)
        bits = cost(y - means(model, z_hat, y, rate_index), scale_index).sum()
        x_hat = network.g_s(network.unscale_latent(y, rate_point), rate_point)
        error = ((x_hat - target).square() * known).sum() / 3
        loss = bits + lmbda * PEAK_SQUARED * error
        loss.backward()
        optimiser.step(LEARNING_RATE * left)
    with torch.no_grad():
        decoded: Tensor = network.g_s(network.unscale_latent(y, rate_point), rate_point).clamp(0, 1)
    return decoded
