"""Rate offsets of tiles: how much of a region of interest each gets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.geometry import Tile
from codec.bitstream.quality import OFFSET_UNIT
from codec.errors import UsageError
from codec.image.source import open_picture
from codec.model.index import ModelEntry
from codec.model.quality import HIGHEST, LOWEST, from_rate_index, to_rate_index
from codec.ratecontrol.roi import Region

OFFSET_MIN, OFFSET_MAX = -128, 127


class RegionMap:
    """How much of every region's boost each tile gets: all where it touches a box, the most of its mask.

    Raises UsageError for a region outside the picture or a mask of another size.
    """

    def __init__(self, regions: Sequence[Region], width: int, height: int, tiles: Sequence[Tile]) -> None:
        self._boost = np.zeros(len(tiles))
        for region in regions:
            shares = _shares(region, width, height, tiles)
            change = region.boost * shares
            stronger = np.abs(change) > np.abs(self._boost)
            self._boost = np.where(stronger, change, self._boost)

    def offsets(self, rate_index: int, entry: ModelEntry) -> NDArray[np.int64]:
        """Return the rate offset of each tile to a header's rate index, in 1/16 of a rate point."""
        quality = from_rate_index(rate_index, entry)
        changed = (to_rate_index(min(max(quality + boost, LOWEST), HIGHEST), entry) for boost in self._boost)
        return np.array([round((other - rate_index) / OFFSET_UNIT) for other in changed], np.int64)


def clamped(offsets: NDArray[np.int64]) -> list[int]:
    """Return offsets as the format holds them, -128..127."""
    held: list[int] = np.clip(offsets, OFFSET_MIN, OFFSET_MAX).tolist()
    return held


def _shares(region: Region, width: int, height: int, tiles: Sequence[Tile]) -> NDArray[np.float64]:
    if region.box is None:
        return _mask_shares(region.mask, width, height, tiles)
    x, y, box_width, box_height = region.box
    if x + box_width > width or y + box_height > height:
        raise UsageError(
            f"region {x},{y},{box_width},{box_height} does not lie in a picture of {width}x{height}",
            field="roi",
        )
    return np.array(
        [
            float(t.x < x + box_width and t.x + t.width > x and t.y < y + box_height and t.y + t.height > y)
            for t in tiles
        ]
    )


def _mask_shares(name: str, width: int, height: int, tiles: Sequence[Tile]) -> NDArray[np.float64]:
    with open_picture(name) as picture:
        if picture.size != (width, height):
            raise UsageError(
                f"{name}: the mask must be of the picture's size, {width}x{height}, "
                f"not {picture.size[0]}x{picture.size[1]}",
                field="roi",
            )
        mask = np.asarray(picture.convert("L", dither=Image.Dither.NONE))
    return np.array([mask[t.y : t.y + t.height, t.x : t.x + t.width].max() / 255 for t in tiles])
