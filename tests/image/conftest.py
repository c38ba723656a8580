"""Pictures made on the spot."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def rgb() -> np.ndarray:
    """Random samples, uint8 [7, 9, 3]: no symmetry hides a turn, no flatness hides a shift."""
    return np.random.default_rng(1).integers(0, 256, (7, 9, 3), dtype=np.uint8)


@pytest.fixture
def picture(rgb: np.ndarray) -> Image.Image:
    """The same as a PIL image."""
    return Image.fromarray(rgb)
