"""Plain records that the public API hands out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """What `map` yields in the place of a result, if asked to: which item failed, from 0, and how."""

    index: int
    error: Exception


@dataclass(frozen=True)
class ImageInfo:
    """What a .vae file says about itself, read without decoding any pixels.

    width, height: pixels. layout: 'RGB', 'L', 'LA' or 'RGBA'. gray: whether it has no colour, even as RGB.
    bit_depth: bits per sample, 8.
    quality: the user's 0..100 that this rate index stands for, by the calibration of the file's model; at an
    end, the quality where the scale begins or ends. None if this installation does not know the model.
    rate_index: 0..2560, in 1/256 of the step between two of the model's eleven rate points.
    model_id: 8 hexadecimal digits. tile_size: pixels. tiles: their number.
    lossless_tiles: how many of them are stored exactly. n_bytes: of the whole file.
    version: of the format, such as '0.1'.
    chunks: (name, payload bytes) of every chunk before the first tile, in file order.
    """

    width: int
    height: int
    layout: str
    gray: bool
    bit_depth: int
    quality: float | None
    rate_index: int
    model_id: str
    tile_size: int
    tiles: int
    lossless_tiles: int
    n_bytes: int
    version: str
    chunks: tuple[tuple[str, int], ...]
