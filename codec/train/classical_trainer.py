"""Train a classical VAE: reconstruction + beta * KL, by Adam, in minutes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from codec.errors import TrainingError
from codec.inference.gradients import Adam
from codec.inference.threads import Progress
from codec.vae.classical import ClassicalConfig, ClassicalVae

BATCH = 128
LEARNING_RATE = 2e-3
WARM_UP = 0.1


def digits() -> NDArray[np.uint8]:
    """scikit-learn's 1,797 digits, uint8 [N, 8, 8]. Needs scikit-learn."""
    from sklearn.datasets import load_digits

    pixels: NDArray[np.uint8] = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    return pixels


def gray_pictures(folder: Path, side: int) -> NDArray[np.uint8]:
    """All pictures below a folder, gray and scaled to side x side: uint8 [N, side, side]."""
    from codec.train.crops import list_pictures

    found = []
    for path in list_pictures(folder):
        try:
            with Image.open(path) as picture:
                found.append(np.asarray(picture.convert("L").resize((side, side), Image.Resampling.LANCZOS)))
        except (OSError, SyntaxError) as error:
            raise TrainingError(f"{path}: cannot be read ({error}); remove it from the folder") from error
    return np.stack(found)


def train_classical(
    pictures: NDArray[np.uint8],
    *,
    latent: int = 8,
    beta: float = 1.0,
    variance: float = 0.02,
    epochs: int = 150,
    seed: int = 1,
    progress: Progress | None = None,
) -> ClassicalVae:
    """Train on pictures uint8 [N, H, W]; the same seed gives the same model on one machine.

    beta rises from 0 within the first tenth, or the posterior would fall back to the prior.
    """
    config = ClassicalConfig(pictures.shape[1], pictures.shape[2], latent, variance=variance)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ClassicalVae(config)
    generator = torch.Generator().manual_seed(seed)
    x = model.flat(pictures)
    optimisers = [Adam(parameter) for parameter in model.parameters()]
    for epoch in range(epochs):
        done = epoch / epochs
        weight = beta * min(1.0, done / WARM_UP)
        for chosen in torch.randperm(len(x), generator=generator).split(BATCH):
            reconstruction, kl = model.terms(x[chosen], generator)
            loss = (reconstruction + weight * kl).mean()
            if not torch.isfinite(loss):
                raise TrainingError("the loss is no number any more; raise --variance or lower --beta")
            loss.backward()
            for optimiser in optimisers:
                optimiser.step(LEARNING_RATE * (1 - done))
        if progress is not None:
            progress(epoch + 1, epochs)
    return model.eval().requires_grad_(False)
