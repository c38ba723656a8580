"""Decompression in one call; a file that its header condemns costs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codec.bitstream.given import Data, given
from codec.bitstream.header import parse_header

if TYPE_CHECKING:
    from PIL import Image


def decompress(data: Data) -> Image.Image:
    """Decompress one file, its bytes or its path, with the default limits; see `Decoder`."""
    with given(data) as view:
        parse_header(view)
        from codec.decoder import decompress as decode

        return decode(view)
