"""The error of a tile as a differentiable function of its latent, by torch."""

from __future__ import annotations

import torch
from torch import Tensor

from codec.effort.search import Objective
from codec.effort.soft_ops import soft_graphs
from codec.runtime.transform_blocks import Block, synthesis_frame


class SoftError:
    """Error in bits of one tile and what it changes around it."""

    def __init__(self, objective: Objective) -> None:
        self._objective, view = objective, objective.view
        self._around = torch.from_numpy(objective.around)[None]
        self._steps = torch.from_numpy(objective.steps)
        rows, columns = view.y.shape[1:]
        whole = Block(0, 0, rows, columns)
        frame, _, _ = synthesis_frame(
            objective.model, rows, columns, whole, objective.header_rate_index, view.present
        )
        self._g_s = "synthesis_gaps" if "at8" in frame else "synthesis"
        self._frame = {name: torch.from_numpy(value) for name, value in frame.items()}

    def __call__(self, y_hat: Tensor) -> Tensor:
        """y_hat: the tile's latent in quantiser steps, float [M, h, w] -> a scalar."""
        view, whole = self._objective.view, self._around.clone()
        place = (slice(view.top, view.top + view.rows), slice(view.left, view.left + view.columns))
        whole[0, :, place[0], place[1]] = y_hat * self._steps
        whole = whole.contiguous(memory_format=torch.channels_last)
        levels = soft_graphs(self._objective.model).run(self._g_s, y_hat=whole, **self._frame)[0]
        x_hat = levels.reshape(self._objective.view.x.shape)
        if self._objective.gray:
            x_hat = x_hat.mean(2, keepdim=True)
        error: Tensor = self._objective.error(x_hat.clamp(0, 255), torch.from_numpy)
        return error
