"""Detect anomalies: cells whose negative ELBO is unusually high or low among normal pictures of one kind.

Rate and distortion are compared with separate distributions, and the more unusual of the two is used: a flat
spot in a coarse texture lowers the distortion and its edge raises the rate, so their sum can look normal.
Scratches and noise cost more than normal cells, blur and flat spots less. Distances from the median are
therefore measured on both sides, in units of the distance of that side's quantile. The low side uses a
logarithmic scale, since costs are bounded by zero.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.errors import UsageError
from codec.image.load import PictureLike, load_rgb
from codec.inference.threads import Progress, map_ordered, worker_count
from codec.vae.evidence import elbo_of_pixels
from codec.vae.picture_latents import Setting, choose

QUALITY = 35.0
# Side of a cell in pixels, and half of it.
CELL, HALF = 16, 8
# Share of normal cells beyond the quantile on each side.
SIDE_QUANTILE = 0.02
# Number of cells of each grid whose mean is the score of a picture.
TOP_CELLS = 2
# Bits per pixel added before the logarithm, so that a cost of 0 is finite.
FLOOR = 0.0625
KIND = "vaezip anomaly model 2"
Costs = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Score:
    """The anomaly score of a picture.

    value: score of the picture; 1 is the limit of what is normal for a single cell. cells: scores of squares
    of 8x8 pixels, float64 [rows, columns]. anomalous: True if value exceeds the threshold.
    """

    value: float
    cells: NDArray[np.float64]
    anomalous: bool


@dataclasses.dataclass(frozen=True)
class Normal:
    """Quantiles of one part of the cost over the cells of normal pictures, in bits per pixel of a cell."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, costs: Costs) -> Normal:
        """Return the quantiles of the costs of cells."""
        low, median, high = (float(q) for q in np.quantile(costs, [SIDE_QUANTILE, 0.5, 1 - SIDE_QUANTILE]))
        # Identical costs would give distances of zero to divide by.
        return cls(min(low, median * 0.99 - 1e-6), median, max(high, median * 1.01 + 1e-6))

    def distance(self, cost: Costs) -> Costs:
        """Return the distances of costs from the median, as multiples of that of the same side's quantile."""
        above = (cost - self.median) / (self.high - self.median)
        below = (_log(self.median) - _log(cost)) / (_log(self.median) - _log(self.low))
        return np.where(cost > self.median, above, below)


@dataclasses.dataclass(frozen=True)
class AnomalyModel:
    """The distribution of costs in normal pictures, and a threshold on scores.

    rate, distortion: distributions over cells. threshold: score that a share of false_positive_rate of the
    normal pictures exceeds. model_id, quality: the model and quality of the fit. pictures: their number.
    """

    rate: Normal
    distortion: Normal
    threshold: float
    false_positive_rate: float
    model_id: str
    quality: float
    pictures: int

    @classmethod
    def fit(
        cls,
        images: Sequence[PictureLike],
        *,
        false_positive_rate: float = 0.05,
        quality: float = QUALITY,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> AnomalyModel:
        """Fit a model to normal pictures of one kind and one scale. Raises UsageError.

        The threshold is a quantile of the scores of the same pictures, so it is rough if they are few.
        """
        if not images:
            raise UsageError("no normal pictures to fit the anomaly model to; give at least one")
        if not 0 < false_positive_rate < 1:
            raise UsageError("the false-positive rate must lie between 0 and 1", field="fpr")
        setting = choose(quality)
        costs = map_ordered(
            lambda image: cell_costs(setting, load_rgb(image)), images, worker_count(threads), progress
        )
        rate, distortion = np.concatenate([part.reshape(-1, 2) for phases in costs for part in phases]).T
        unset = cls(
            Normal.of(rate),
            Normal.of(distortion),
            0.0,
            false_positive_rate,
            setting.model.model_id.hex(),
            quality,
            len(images),
        )
        values = [unset._summary(phases) for phases in costs]
        return dataclasses.replace(unset, threshold=float(np.quantile(values, 1 - false_positive_rate)))

    def score(self, image: PictureLike) -> Score:
        """Score one picture. Raises UsageError if the weights are not those of the fit."""
        setting = choose(self.quality)
        if setting.model.model_id.hex() != self.model_id:
            raise UsageError(
                f"the anomaly model was fitted with weights {self.model_id}, but "
                f"{setting.model.model_id.hex()} are in use; fit it again"
            )
        pixels = load_rgb(image)
        phases = cell_costs(setting, pixels)
        value = self._summary(phases)
        return Score(value, self._cells(phases, pixels.shape[:2]), value > self.threshold)

    def to_json(self) -> str:
        """Serialise as JSON."""
        return json.dumps({"kind": KIND, **dataclasses.asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> AnomalyModel:
        """Parse the output of `to_json`. Raises UsageError."""
        try:
            stored = json.loads(text)
            if stored.pop("kind") != KIND:
                raise ValueError("made by another release")
            rate, distortion = (Normal(**stored.pop(name)) for name in ("rate", "distortion"))
            return cls(rate, distortion, **stored)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"not an anomaly model ({error}); make one with `vaezip anomaly fit`") from error

    def distance(self, costs: Costs) -> Costs:
        """Return the scores of cells [...] from their rate and distortion, costs [..., 2]."""
        return np.maximum(self.rate.distance(costs[..., 0]), self.distortion.distance(costs[..., 1]))

    def _summary(self, phases: Sequence[Costs]) -> float:
        ranked = np.sort(np.concatenate([self.distance(part).ravel() for part in phases]))
        return float(ranked[-TOP_CELLS * len(phases) :].mean())

    def _cells(self, phases: Sequence[Costs], shape: tuple[int, ...]) -> Costs:
        """Return the mean score of the cells that cover each square of 8x8 pixels, over the shifted grids."""
        rows, columns = -(-shape[0] // HALF), -(-shape[1] // HALF)
        parts = []
        for index, part in enumerate(phases):
            top, left = index // 2, index % 2
            fine = np.kron(self.distance(part), np.ones((2, 2)))
            parts.append(fine[top : top + rows, left : left + columns])
        mean: Costs = np.mean(parts, axis=0)
        return mean


def cell_costs(setting: Setting, pixels: NDArray[np.uint8]) -> list[Costs]:
    """Return rate and distortion of cells, [rows, columns, 2], on four grids shifted by half a cell.

    Both are in bits per pixel. Pictures are mirrored at their edges to whole cells of each grid.
    """
    costs = []
    height, width = pixels.shape[:2]
    for top in (0, HALF):
        for left in (0, HALF):
            pad = ((top, -(height + top) % CELL), (left, -(width + left) % CELL), (0, 0))
            costs.append(
                elbo_of_pixels(np.pad(pixels, pad, mode="symmetric"), setting, threads=1).cells_by_part()
            )
    return costs


def heat_map(pixels: NDArray[np.uint8], cells: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a gray copy of a picture with the scores of 8x8 squares in red: from 1, strongest from 3."""
    height, width = pixels.shape[:2]
    share = np.clip((cells - 1) / 2, 0, 1)
    grown = np.kron(share, np.ones((HALF, HALF)))[:height, :width, None]
    gray = np.asarray(Image.fromarray(pixels).convert("L"), np.float64)[..., None]
    mixed = gray * (1 - 0.8 * grown) + 0.8 * grown * np.array([230.0, 30.0, 20.0])
    overlay: NDArray[np.uint8] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return overlay


def _log(cost: Costs | float) -> Costs:
    return np.log(np.asarray(cost) + FLOOR)
