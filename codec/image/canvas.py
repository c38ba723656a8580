"""The picture a decoder paints, part by part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Canvas:
    """A PIL image of mode RGB, L, LA or RGBA that shows one rectangle of a picture.

    left, top, width, height: the rectangle in pixels. alpha: uint8 [height, width] for modes that have it.
    Parts are painted straight into the image, so that a large picture is in memory once. Threads may paint
    different parts at a time.
    """

    def __init__(
        self, mode: str, left: int, top: int, width: int, height: int, alpha: NDArray[np.uint8] | None
    ) -> None:
        self.image = Image.new(mode, (width, height))
        self._left, self._top = left, top
        self._alpha = alpha

    def paint(self, left: int, top: int, samples: NDArray[np.uint8]) -> None:
        """Paint samples, uint8 [h, w, 1 or 3], at a place of the picture; what lies outside is dropped.

        Of three channels a gray canvas takes the second.
        """
        x, y = left - self._left, top - self._top
        part = samples[max(0, -y) : self.image.height - y, max(0, -x) : self.image.width - x]
        if not part.size or y >= self.image.height or x >= self.image.width:
            return
        x, y = max(0, x), max(0, y)
        if self.image.mode in ("L", "LA") and part.shape[2] == 3:
            part = part[:, :, 1:2]
        if self._alpha is not None:
            height, width = part.shape[:2]
            part = np.dstack([part, self._alpha[y : y + height, x : x + width]])
        self.image.paste(Image.fromarray(part.squeeze(2) if part.shape[2] == 1 else part), (x, y))
