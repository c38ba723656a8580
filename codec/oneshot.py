"""Decompression in one call; a file that its header condemns costs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codec.bitstream.header import parse_header

if TYPE_CHECKING:
    from PIL import Image


def decompress(data: bytes | bytearray | memoryview) -> Image.Image:
    """Decompress one file with the default limits; see `Decoder`."""
    parse_header(memoryview(data))
    from codec.decoder import decompress as decode

    return decode(data)
