"""What in a picture is unlike normal pictures of its kind: cells of unusual negative ELBO, high or low.

Its two parts, rate and distortion, are each held against their own distribution, and the more unusual one
counts: a flat spot in a coarse texture spares distortion, its edge costs rate, and their sum looks normal.
Scratches and noise cost more than normal cells do, blur and flat spots less, so each part has two sides, each
measured in the distance of that side's quantile from the median. The low side counts on a logarithmic scale,
or it would end where the cost does, at zero.
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
from codec.vae.evidence import weigh
from codec.vae.picture_latents import Setting, choose

QUALITY = 35.0
CELL, HALF = 16, 8
SIDE_QUANTILE = 0.02
TOP_CELLS = 2
# Bits per pixel that keep the logarithm of a cell that costs nothing finite.
FLOOR = 0.0625
KIND = "vaezip anomaly model 2"
Costs = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Score:
    """How unusual a picture is. value: 1 is the edge of what is normal for a single cell.

    cells: float64 [rows, columns] for squares of 8x8 pixels. anomalous: whether value passes the threshold.
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
        """Take them from the costs of many cells."""
        low, median, high = (float(q) for q in np.quantile(costs, [SIDE_QUANTILE, 0.5, 1 - SIDE_QUANTILE]))
        # Pictures all alike would leave no width to measure in.
        return cls(min(low, median * 0.99 - 1e-6), median, max(high, median * 1.01 + 1e-6))

    def distance(self, cost: Costs) -> Costs:
        """How far costs lie from the median, 1 at the quantile of their side."""
        above = (cost - self.median) / (self.high - self.median)
        below = (_log(self.median) - _log(cost)) / (_log(self.median) - _log(self.low))
        return np.where(cost > self.median, above, below)


@dataclasses.dataclass(frozen=True)
class AnomalyModel:
    """What normal pictures cost.

    rate, distortion: of their cells. threshold: image score that the chosen share of normal pictures passes.
    model_id, quality: what weighed them. pictures: how many they were.
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
        """Learn what is normal from pictures of one kind and one scale. Raises UsageError.

        The threshold is a quantile of scores of these same pictures: with few of them, take it as a hint.
        """
        if not images:
            raise UsageError("no normal pictures to learn from")
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
        """Score one picture. Raises UsageError where other weights than those of the fit are in use."""
        setting = choose(self.quality)
        if setting.model.model_id.hex() != self.model_id:
            raise UsageError(
                f"the anomaly model was made with weights {self.model_id}, "
                f"{setting.model.model_id.hex()} are in use; fit it again"
            )
        pixels = load_rgb(image)
        phases = cell_costs(setting, pixels)
        value = self._summary(phases)
        return Score(value, self._cells(phases, pixels.shape[:2]), value > self.threshold)

    def to_json(self) -> str:
        """Serialise."""
        return json.dumps({"kind": KIND, **dataclasses.asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> AnomalyModel:
        """Parse what `to_json` wrote. Raises UsageError."""
        try:
            stored = json.loads(text)
            if stored.pop("kind") != KIND:
                raise ValueError("made by another release")
            rate, distortion = (Normal(**stored.pop(name)) for name in ("rate", "distortion"))
            return cls(rate, distortion, **stored)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"is no anomaly model ({error}); make one with `vaezip anomaly fit`") from error

    def distance(self, costs: Costs) -> Costs:
        """How unusual cells are whose rate and distortion are given, [..., 2] -> [...]."""
        return np.maximum(self.rate.distance(costs[..., 0]), self.distortion.distance(costs[..., 1]))

    def _summary(self, phases: Sequence[Costs]) -> float:
        ranked = np.sort(np.concatenate([self.distance(part).ravel() for part in phases]))
        return float(ranked[-TOP_CELLS * len(phases) :].mean())

    def _cells(self, phases: Sequence[Costs], shape: tuple[int, ...]) -> Costs:
        """Mean over the shifted grids of the cells that cover each square of 8x8 pixels."""
        rows, columns = -(-shape[0] // HALF), -(-shape[1] // HALF)
        parts = []
        for index, part in enumerate(phases):
            top, left = index // 2, index % 2
            fine = np.kron(self.distance(part), np.ones((2, 2)))
            parts.append(fine[top : top + rows, left : left + columns])
        mean: Costs = np.mean(parts, axis=0)
        return mean


def cell_costs(setting: Setting, pixels: NDArray[np.uint8]) -> list[Costs]:
    """Rate and distortion per cell, [rows, columns, 2] on each of four grids shifted by half a cell.

    In bits per pixel. Pictures are mirrored beyond their edges to whole cells of each grid.
    """
    costs = []
    height, width = pixels.shape[:2]
    for top in (0, HALF):
        for left in (0, HALF):
            pad = ((top, -(height + top) % CELL), (left, -(width + left) % CELL), (0, 0))
            costs.append(weigh(np.pad(pixels, pad, mode="symmetric"), setting, threads=1).cells_by_part())
    return costs


def heat_map(pixels: NDArray[np.uint8], cells: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Lay scores of 8x8 squares over a gray copy of a picture: red from score 1 on, opaque at 3."""
    height, width = pixels.shape[:2]
    share = np.clip((cells - 1) / 2, 0, 1)
    grown = np.kron(share, np.ones((HALF, HALF)))[:height, :width, None]
    gray = np.asarray(Image.fromarray(pixels).convert("L"), np.float64)[..., None]
    mixed = gray * (1 - 0.8 * grown) + 0.8 * grown * np.array([230.0, 30.0, 20.0])
    overlay: NDArray[np.uint8] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return overlay


def _log(cost: Costs | float) -> Costs:
    return np.log(np.asarray(cost) + FLOOR)
