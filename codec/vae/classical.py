"""A small variational autoencoder with Gaussian posterior and prior N(0, I) (Kingma and Welling, 2014)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from codec.errors import UsageError, WeightsError
from codec.inference.gradients import Adam

FORMAT = "vaezip classical vae 1"
MAX_SIDE = 64


@dataclasses.dataclass(frozen=True)
class ClassicalConfig:
    """Sizes of a classical VAE. Raises UsageError for invalid values.

    height, width: of the gray pictures in pixels. latent: dimensions. hidden: units of a hidden layer.
    variance: of p(x | z), with samples in [0, 1], the same for every pixel.
    """

    height: int = 8
    width: int = 8
    latent: int = 8
    hidden: int = 256
    variance: float = 0.02

    def __post_init__(self) -> None:
        if not (0 < self.height <= MAX_SIDE and 0 < self.width <= MAX_SIDE):
            raise UsageError(f"height and width of a classical VAE must be from 1 to {MAX_SIDE} pixels")
        if self.latent < 1 or self.hidden < 1 or self.variance <= 0:
            raise UsageError("latent, hidden and variance must be above 0")


class ClassicalVae(nn.Module):
    """q(z | x) = N(mean(x), diag(variance(x))), p(z) = N(0, I), p(x | z) a Gaussian around decoder(z).

    x: float [B, H * W] in [0, 1]; z: float [B, latent].
    """

    def __init__(self, config: ClassicalConfig) -> None:
        super().__init__()
        self.config = config
        size, hidden = config.height * config.width, config.hidden
        self.encoder = nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.mean = nn.Linear(hidden, config.latent)
        self.log_variance = nn.Linear(hidden, config.latent)
        self.decoder = nn.Sequential(
            nn.Linear(config.latent, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, size),
            nn.Sigmoid(),
        )

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z | x), [B, latent] each."""
        h = self.encoder(x)
        return self.mean(h), self.log_variance(h).clamp(-12, 6)

    def terms(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return -log p(x | z) without its normalisation, and KL(q || p), in nats, [B] each.

        z is drawn from the posterior with the generator; without one it is the posterior mean.
        """
        mean, log_variance = self.posterior(x)
        z = mean
        if generator is not None:
            z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
        reconstruction = (self.decoder(z) - x).square().sum(1) / (2 * self.config.variance)
        return reconstruction, kl_to_standard_normal(mean, log_variance)

    @torch.inference_mode()
    def negative_elbo(self, pictures: NDArray[np.uint8], beta: float = 1.0) -> NDArray[np.float64]:
        """Return reconstruction + beta * KL of pictures uint8 [N, H, W] in nats, float64 [N].

        z is the posterior mean, and -log p(x | z) is without its normalisation.
        """
        reconstruction, kl = self.terms(self.flat(pictures))
        return (reconstruction + beta * kl).double().numpy()

    @torch.inference_mode()
    def sample(self, count: int, *, seed: int = 0, temperature: float = 1.0) -> NDArray[np.uint8]:
        """Decode draws of z from N(0, temperature^2 I): uint8 [count, H, W]."""
        z = torch.randn(count, self.config.latent, generator=torch.Generator().manual_seed(seed))
        return self.pictures(self.decoder(z * temperature))

    @torch.inference_mode()
    def latent_map(self, side: int = 15, span: float = 2.5) -> NDArray[np.uint8]:
        """Decode a grid over the first two latent dimensions, others 0: uint8 [side * H, side * W].

        span: the grid is from -span to span in both.
        """
        axis = torch.linspace(-span, span, side)
        z = torch.zeros(side * side, self.config.latent)
        z[:, 0] = axis.repeat(side)
        if self.config.latent > 1:
            z[:, 1] = axis.flip(0).repeat_interleave(side)
        grid = self.pictures(self.decoder(z)).reshape(side, side, self.config.height, self.config.width)
        return np.ascontiguousarray(grid.transpose(0, 2, 1, 3)).reshape(
            side * self.config.height, side * self.config.width
        )

    def impute(
        self, picture: NDArray[np.uint8], missing: NDArray[np.bool_], *, starts: int = 16, seed: int = 0
    ) -> NDArray[np.uint8]:
        """Fill in the missing pixels, bool [H, W], of one picture, uint8 [H, W]; known pixels are kept.

        z maximises p(known pixels | z) p(z), by gradient descent from several starts.
        """
        x, known = self.flat(picture[None]), torch.from_numpy(~missing).float().reshape(1, -1)
        z = torch.randn(starts, self.config.latent, generator=torch.Generator().manual_seed(seed))
        z[0] = 0
        z.requires_grad_(True)
        optimiser = Adam(z)
        for _ in range(200):
            error = ((self.decoder(z) - x).square() * known).sum(1) / (2 * self.config.variance)
            energy = error + 0.5 * z.square().sum(1)
            energy.sum().backward()
            optimiser.step(0.1)
        with torch.inference_mode():
            best = self.pictures(self.decoder(z[energy.argmin()][None]))[0]
        return np.where(missing, best, picture)

    def flat(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Convert pictures uint8 [N, H, W] to float [N, H * W] in [0, 1]. Raises UsageError."""
        shape = (self.config.height, self.config.width)
        if pictures.ndim != 3 or pictures.shape[1:] != shape:
            raise UsageError(f"the model needs gray pictures of {shape[1]}x{shape[0]} pixels")
        return torch.from_numpy(pictures.reshape(len(pictures), -1).astype(np.float32)) / 255

    def pictures(self, x: Tensor) -> NDArray[np.uint8]:
        """Convert samples in [0, 1], [N, H * W], to pictures uint8 [N, H, W]."""
        samples = x.detach().mul(255).round().clamp(0, 255).to(torch.uint8).numpy()
        shaped: NDArray[np.uint8] = samples.reshape(-1, self.config.height, self.config.width)
        return shaped

    def to_bytes(self) -> bytes:
        """Serialise as safetensors; equal models give equal bytes."""
        # One entry only, because safetensors does not fix the order of several.
        meta = {FORMAT: json.dumps(dataclasses.asdict(self.config))}
        return save({name: value.contiguous() for name, value in self.state_dict().items()}, meta)

    @classmethod
    def load(cls, path: Path) -> ClassicalVae:
        """Read a model from a safetensors file. Raises WeightsError or OSError."""
        try:
            with safe_open(path, "pt") as stored:
                meta = stored.metadata() or {}
                state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            if FORMAT not in meta:
                raise ValueError("it is not a classical VAE")
            model = cls(ClassicalConfig(**json.loads(meta[FORMAT])))
            model.load_state_dict(state)
        except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
            raise WeightsError(
                f"{path}: not a valid model ({error}); make one with `vaezip train vae`"
            ) from error
        model.eval().requires_grad_(False)
        return model


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_variance)) || N(0, I)) in nats, summed over the last dimension."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
