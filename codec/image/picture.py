"""Pictures as samples: colour, alpha and metadata, and the canvas that a decoder paints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.metadata_chunks import Metadata

# BT.601, as JPEG and WebP weigh the channels.
BT601 = (0.299, 0.587, 0.114)


class Samples(Protocol):
    """Colour samples of which rectangles are read: an array uint8 [H, W, 3], or what acts like one."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """(H, W, 3)."""

    def __getitem__(self, rectangle: tuple[slice, slice], /) -> NDArray[np.uint8]:
        """Return samples[top:bottom, left:right], uint8 [h, w, 3]."""


class PillowSamples:
    """Samples of a loaded PIL image of mode RGB or L, cut out when asked for: none is copied whole.

    Gray is given as three equal channels.
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
    """A picture ready to be coded, upright.

    layout: 'RGB', 'L', 'LA' or 'RGBA'. colour: samples [H, W, 3], three equal channels where the layout is
    gray; smooth wherever alpha is 0. alpha: uint8 [H, W] for the layouts that have it.
    """

    layout: str
    colour: Samples
    alpha: NDArray[np.uint8] | None
    metadata: Metadata

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.colour.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.colour.shape[0])


# Looked at a few rows at a time: a picture with colour shows it in the first of them.
_ROWS = 64


def is_gray(picture: Picture) -> bool:
    """Tell whether a picture has one channel of colour, or three that are the same everywhere."""
    if picture.layout in ("L", "LA"):
        return True
    for top in range(0, picture.height, _ROWS):
        rows = picture.colour[top : min(top + _ROWS, picture.height), 0 : picture.width]
        if (rows[..., 1] != rows[..., 0]).any() or (rows[..., 1] != rows[..., 2]).any():
            return False
    return True


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


def reduced(samples: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Return the means over squares of samples, uint8 [h, w] or [h, w, 3]; sizes are rounded up."""
    return samples if scale == 1 else np.asarray(Image.fromarray(samples).reduce(scale))
