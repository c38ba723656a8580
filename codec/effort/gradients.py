"""How a tile's error and the bits of its later residuals change with each latent, by torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from codec.effort import soft_quarters
from codec.effort.decision import Floats, Later
from codec.effort.search import Objective
from codec.effort.sensitivity import error_weight
from codec.effort.soft_ops import soft_graphs
from codec.effort.soft_rate import walk_softly
from codec.runtime.latents import TileSymbols, dequantise_tile
from codec.runtime.transform_blocks import Block, synthesis_frame


class Gradients:
    """Gradients at symbols of one tile. Raises BackendMissing without torch."""

    def __init__(self, objective: Objective) -> None:
        self._objective, view = objective, objective.view
        self._around = torch.from_numpy(objective.around)[None]
        self._steps = torch.from_numpy(objective.steps)
        self._x = torch.from_numpy(view.x).float()
        rows, columns = view.y.shape[1:]
        whole = Block(0, 0, rows, columns)
        frame, _, _ = synthesis_frame(
            objective.model, rows, columns, whole, objective.header_quality, view.present
        )
        self._g_s = "synthesis_gaps" if "at8" in frame else "synthesis"
        self._frame = {name: torch.from_numpy(value) for name, value in frame.items()}
        self._weight = error_weight(objective.model, objective.quality)

    def error_of_steps(self, y_hat: Tensor) -> Tensor:
        """Error in bits around a tile of this latent, float [M, h, w] in quantiser steps."""
        view, whole = self._objective.view, self._around.clone()
        place = (slice(view.top, view.top + view.rows), slice(view.left, view.left + view.columns))
        whole[0, :, place[0], place[1]] = y_hat * self._steps
        whole = whole.contiguous(memory_format=torch.channels_last)
        levels = soft_graphs(self._objective.model).run(self._g_s, y_hat=whole, **self._frame)[0]
        x_hat = levels.reshape(self._x.shape)
        if self._objective.gray:
            x_hat = x_hat.mean(2, keepdim=True)
        error: Tensor = (x_hat.clamp(0, 255) - self._x).square().sum() * self._weight
        return error

    def error(self, symbols: TileSymbols) -> tuple[Floats, Floats]:
        """Return the symbols' latent in quantiser steps, and the error's gradient: float32 [M, h, w]."""
        y_hat = self._y_hat(symbols)
        with torch.inference_mode(False), torch.enable_grad():
            leaf = torch.from_numpy(y_hat).requires_grad_()
            (gradient,) = torch.autograd.grad(self.error_of_steps(leaf), leaf)
        return y_hat, gradient.numpy()

    def later(self, symbols: TileSymbols) -> Later:
        """Return how the bits of later residuals change with each."""
        objective, shape = self._objective, symbols.r.shape
        with torch.inference_mode(False), torch.enable_grad():
            leaf_y = soft_quarters.split(self._y_hat(symbols)).requires_grad_()
            leaf_r = soft_quarters.split(symbols.r.astype(np.float32)).requires_grad_()
            z = torch.from_numpy(symbols.z.astype(np.float32))[None]

            def residual(step: int, mu: Tensor, _index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
                # What is coded follows the mean, for the target stays where it is.
                return leaf_r[step].detach() + (mu.detach() - mu), leaf_r[step], leaf_y[step]

            bits = walk_softly(objective.model, z, objective.quality, residual, leans=False).bits
            by_y, by_r = torch.autograd.grad(bits, (leaf_y, leaf_r))
            return Later(*(soft_quarters.join(part, shape).numpy() for part in (by_y, by_r)))

    def _y_hat(self, symbols: TileSymbols) -> Floats:
        objective = self._objective
        return np.asarray(dequantise_tile(objective.model, symbols, objective.quality) / objective.steps)
