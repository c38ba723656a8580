"""How a tile's error and the bits of its later residuals change with each latent, by torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from codec.effort.decision import Floats, Later
from codec.effort.search import Objective
from codec.effort.sensitivity import error_weight
from codec.effort.soft_rate import walk_softly
from codec.model.config import STEP_UNITS
from codec.runtime.latents import TileSymbols, dequantise_tile


class Gradients:
    """Gradients at symbols of one tile. Raises BackendMissing without torch."""

    def __init__(self, objective: Objective) -> None:
        self._objective, model = objective, objective.model
        self._network = model.network
        self._rate = torch.tensor([objective.header_quality / STEP_UNITS])
        self._x = torch.from_numpy(objective.view.x).permute(2, 0, 1)[None].float() / 255
        self._around = torch.from_numpy(objective.around)[None]
        self._steps = torch.from_numpy(objective.steps)
        self._weight = 255**2 * error_weight(model, objective.quality)

    def error_of_steps(self, y_hat: Tensor) -> Tensor:
        """Error in bits around a tile of this latent, float [1, M, h, w] in quantiser steps."""
        view, whole = self._objective.view, self._around.clone()
        place = (slice(view.top, view.top + view.rows), slice(view.left, view.left + view.columns))
        whole[:, :, place[0], place[1]] = y_hat * self._steps
        x_hat = self._network.g_s(whole.contiguous(memory_format=torch.channels_last), self._rate)
        error: Tensor = (x_hat.clamp(0, 1) - self._x).square().sum() * self._weight
        return error

    def error(self, symbols: TileSymbols) -> tuple[Floats, Floats]:
        """Return the symbols' latent in quantiser steps, and the error's gradient: float32 [M, h, w]."""
        y_hat = self._y_hat(symbols)
        with torch.inference_mode(False), torch.enable_grad():
            leaf = torch.from_numpy(y_hat)[None].requires_grad_()
            (gradient,) = torch.autograd.grad(self.error_of_steps(leaf), leaf)
        return y_hat, gradient[0].numpy()

    def later(self, symbols: TileSymbols) -> Later:
        """Return how the bits of later residuals change with each."""
        objective = self._objective
        with torch.inference_mode(False), torch.enable_grad():
            leaf_y = torch.from_numpy(self._y_hat(symbols))[None].requires_grad_()
            leaf_r = torch.from_numpy(symbols.r.astype(np.float32))[None].requires_grad_()
            z = torch.from_numpy(symbols.z.astype(np.float32))[None]

            def residual(_step: int, mu: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                # What is coded follows the mean, for the target stays where it is.
                return leaf_r.detach() + (mu.detach() - mu), leaf_r, leaf_y

            bits = walk_softly(objective.model, z, objective.quality, residual, leans=False).bits
            by_y, by_r = torch.autograd.grad(bits, (leaf_y, leaf_r))
        return Later(by_y[0].numpy(), by_r[0].numpy())

    def _y_hat(self, symbols: TileSymbols) -> Floats:
        objective = self._objective
        return np.asarray(dequantise_tile(objective.model, symbols, objective.quality) / objective.steps)
