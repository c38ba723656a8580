"""The picture a decoder paints, part by part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Canvas:
    """A PIL image of mode RGB, L, LA or RGBA that shows one rectangle of a picture.

    left, top, width, height: the rectangle in pixels. alpha: uint8 [height, width] for modes that have it.
    gray: whether the picture has no colour, in whatever mode.
    Parts are painted straight into the image, so that a large picture is in memory once. Threads may paint
    different parts at a time.
    """

    def __init__(
        self,
        mode: str,
        left: int,
        top: int,
        width: int,
        height: int,
        alpha: NDArray[np.uint8] | None,
        *,
        gray: bool,
    ) -> None:
        self.image = Image.new(mode, (width, height))
        self._gray = gray
        self._left, self._top = left, top
        self._alpha = alpha

    def paint(self, left: int, top: int, samples: NDArray[np.uint8]) -> None:
        """Paint samples, uint8 [h, w, 1 or 3], at a place of the picture; what lies outside is dropped.

        A gray canvas takes the second of three channels for all it has.
        """
        x, y = left - self._left, top - self._top
        part = samples[max(0, -y) : self.image.height - y, max(0, -x) : self.image.width - x]
        if not part.size or y >= self.image.height or x >= self.image.width:
            return
        x, y = max(0, x), max(0, y)
        if self._gray:
            gray = part[:, :, part.shape[2] // 2, None]
            part = gray if self.image.mode in ("L", "LA") else np.repeat(gray, 3, 2)
        if self._alpha is not None:
            height, width = part.shape[:2]
            part = np.dstack([part, self._alpha[y : y + height, x : x + width]])
        self.image.paste(Image.fromarray(part.squeeze(2) if part.shape[2] == 1 else part), (x, y))
