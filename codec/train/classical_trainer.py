"""Train a classical VAE with Adam: minimise reconstruction + beta * KL."""

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
# Share of the epochs in which beta grows from 0.
WARM_UP = 0.1


def digits() -> NDArray[np.uint8]:
    """Return the 1,797 digits of scikit-learn, uint8 [N, 8, 8]. Raises ModuleNotFoundError without it."""
    from sklearn.datasets import load_digits

    pixels: NDArray[np.uint8] = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    return pixels


def gray_pictures(folder: Path, side: int) -> NDArray[np.uint8]:
    """Return all pictures below a folder, in gray and scaled to side x side: uint8 [N, side, side].

    Raises TrainingError.
    """
    from codec.train.crops import list_pictures

    pictures = []
    for path in list_pictures(folder):
        try:
            with Image.open(path) as picture:
                gray = picture.convert("L").resize((side, side), Image.Resampling.LANCZOS)
                pictures.append(np.asarray(gray))
        except (OSError, SyntaxError) as error:
            raise TrainingError(f"{path}: cannot be read ({error}); remove it from the folder") from error
    return np.stack(pictures)


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
    """Train a classical VAE on pictures uint8 [N, H, W]; one seed gives one model on one machine.

    latent: dimensions. beta: weight of the KL divergence; it grows from 0 in the first tenth of the epochs,
    which prevents posterior collapse. variance: of p(x | z). progress: called with epochs done and in all.
    Raises TrainingError if the loss is not finite.
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
                raise TrainingError("the loss is not finite; raise --variance or lower --beta")
            loss.backward()
            for optimiser in optimisers:
                optimiser.step(LEARNING_RATE * (1 - done))
        if progress is not None:
            progress(epoch + 1, epochs)
    return model.eval().requires_grad_(False)
