"""Box means of samples, for previews."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def reduced(samples: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Return the means over squares of samples, uint8 [h, w] or [h, w, 3]; sizes are rounded up."""
    return samples if scale == 1 else np.asarray(Image.fromarray(samples).reduce(scale))
