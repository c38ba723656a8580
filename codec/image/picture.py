"""Pictures as samples, alpha and metadata, and the canvas that the decoder paints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.metadata_chunks import Metadata

# Weights of red, green and blue in luma (BT.601), as in JPEG and WebP.
BT601 = (0.299, 0.587, 0.114)
# is_gray() reads this many rows at a time: most pictures with colour have some in the first of them.
_STRIP_ROWS = 64


class Samples(Protocol):
    """Colour samples that can be sliced in rectangles: an array uint8 [H, W, 3], or a class like it."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """(H, W, 3)."""

    def __getitem__(self, rectangle: tuple[slice, slice], /) -> NDArray[np.uint8]:
        """Return samples[top:bottom, left:right], uint8 [h, w, 3]."""


class PillowSamples:
    """Samples of a loaded PIL image of mode RGB or L, cropped on demand to save a copy of the whole.

    Gray is expanded to three equal channels.
    """

    def __init__(self, picture: Image.Image) -> None:
        self._picture = picture

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""
        return self._picture.height, self._picture.width, 3

    def __getitem__(self, rectangle: tuple[slice, slice]) -> NDArray[np.uint8]:
        rows, columns = (
            slice(*part.indices(size)) for part, size in zip(rectangle, self.shape[:2], strict=True)
        )
        part = np.array(self._picture.crop((columns.start, rows.start, columns.stop, rows.stop)))
        return np.repeat(part[:, :, None], 3, axis=2) if part.ndim == 2 else part


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture, ready for encoding.

    layout: 'RGB', 'L', 'LA' or 'RGBA'. colour: samples [H, W, 3], with equal channels if the layout is gray,
    and filled smoothly where alpha is 0. alpha: uint8 [H, W], or None if the layout has none.
    """

    layout: str
    colour: Samples
    alpha: NDArray[np.uint8] | None
    metadata: Metadata

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.colour.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.colour.shape[0])


def is_gray(picture: Picture) -> bool:
    """Return whether a picture has one colour channel, or three that are equal everywhere."""
    if picture.layout in ("L", "LA"):
        return True
    for top in range(0, picture.height, _STRIP_ROWS):
        rows = picture.colour[top : min(top + _STRIP_ROWS, picture.height), 0 : picture.width]
        if (rows[..., 1] != rows[..., 0]).any() or (rows[..., 1] != rows[..., 2]).any():
            return False
    return True


class Canvas:
    """A PIL image, `image`, that receives one rectangle of a picture.

    mode: RGB, L, LA or RGBA. left, top, width, height: the rectangle in pixels. alpha: uint8 [height, width]
    for modes with alpha, otherwise None. gray: whether the picture has no colour, in any mode.
    Parts are painted directly into the image, so a large picture is in memory once. Threads may paint
    different parts concurrently.
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
        """Paint samples, uint8 [h, w, 1 or 3], at (left, top) of the picture; clip them to the rectangle.

        A gray canvas uses the second of three channels for all of its own.
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

    def read(self, left: int, top: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return painted samples at a place of the picture, uint8 [h, w, 1 or 3]; 0 outside the canvas."""
        x, y = left - self._left, top - self._top
        part = self.image.crop((x, y, x + width, y + height))
        samples = np.asarray(part.getchannel(0) if self.image.mode in ("L", "LA") else part)
        return samples[:, :, None] if samples.ndim == 2 else samples[:, :, :3]


def reduced(samples: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Reduce samples, uint8 [h, w] or [h, w, 3], by averaging squares of side `scale`; round sizes up."""
    return samples if scale == 1 else np.asarray(Image.fromarray(samples).reduce(scale))
