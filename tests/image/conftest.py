"""Small random pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def rgb() -> np.ndarray:
    """Random samples, uint8 [7, 9, 3]: asymmetric, to reveal turns, and not flat, to reveal shifts."""
    return np.random.default_rng(1).integers(0, 256, (7, 9, 3), dtype=np.uint8)


@pytest.fixture
def picture(rgb: np.ndarray) -> Image.Image:
    """The same as a PIL image."""
    return Image.fromarray(rgb)
