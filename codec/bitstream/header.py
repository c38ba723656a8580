"""The header of a .vae file, and the description of a whole file (FORMAT.md section 2)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from codec.bitstream.geometry import tile_count
from codec.bitstream.rate_index import MAX_HEADER_RATE_INDEX
from codec.bitstream.wire import VARINT_MAX, Reader, varint
from codec.errors import (
    BadMagic,
    ChecksumMismatch,
    CorruptPayload,
    FormatError,
    TruncatedData,
    UnsupportedVersion,
    UsageError,
)
from codec.limits import DEFAULT_LIMITS, Limits

SIGNATURE = b"\x97VAE\r\n\x1a\n"
VERSION = (0, 4)


class Layout(NamedTuple):
    """mode: the channels, named as in Pillow. gray: whether the colour channels are equal everywhere."""

    mode: str
    gray: bool


LAYOUTS = {
    0: Layout("RGB", False),
    1: Layout("L", True),
    2: Layout("LA", True),
    3: Layout("RGBA", False),
    4: Layout("RGB", True),
    5: Layout("RGBA", True),
}
BIT_DEPTHS = {0: 8}
MIN_TILE_LOG2, MAX_TILE_LOG2 = 6, 12

_FIXED = struct.Struct("<BH4sB")
# Bytes after the varints: fixed fields and CRC.
FIXED_BYTES = _FIXED.size + 4


@dataclass(frozen=True)
class Header:
    """The fields of the header.

    width, height: pixels, 1..2**32 - 1. rate_index: 0..3840. model_id: 4 bytes.
    tile_log2: 6..12, the binary logarithm of the tile size in pixels.
    layout: a key of LAYOUTS. depth: 0 (8 bits per sample). Raises UsageError for values out of range.
    """

    width: int
    height: int
    rate_index: int
    model_id: bytes
    tile_log2: int = 9
    layout: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        """Check the range of every field."""
        fault = self._range_error()
        if fault:
            raise UsageError(fault[1], field=fault[0])

    @property
    def tile_size(self) -> int:
        """Side of a tile in pixels."""
        return 1 << self.tile_log2

    @property
    def mode(self) -> str:
        """The channels of the picture, named as in Pillow: RGB, L, LA or RGBA."""
        return LAYOUTS[self.layout].mode

    @property
    def is_gray(self) -> bool:
        """True if the picture has no colour: one channel, or three that are equal."""
        return LAYOUTS[self.layout].gray

    @property
    def has_alpha(self) -> bool:
        """True if the file must have an ALPHA chunk."""
        return self.mode in ("LA", "RGBA")

    @property
    def tiles(self) -> int:
        """The number of tiles."""
        return tile_count(self.width, self.height, self.tile_size)

    def pack(self) -> bytes:
        """Return the bytes of signature, header and CRC: 23 to 31 bytes."""
        fixed = _FIXED.pack(self.layout | self.depth << 4, self.rate_index, self.model_id, self.tile_log2)
        version = bytes([VERSION[0] << 4 | VERSION[1]])
        body = SIGNATURE + version + varint(self.width) + varint(self.height) + fixed
        return body + zlib.crc32(body).to_bytes(4, "little")

    def _range_error(self) -> tuple[str, str] | None:
        ranges = (
            ("width", self.width, 1, VARINT_MAX),
            ("height", self.height, 1, VARINT_MAX),
            ("rate_index", self.rate_index, 0, MAX_HEADER_RATE_INDEX),
            ("tile_log2", self.tile_log2, MIN_TILE_LOG2, MAX_TILE_LOG2),
            ("layout", self.layout, 0, max(LAYOUTS)),
            ("depth", self.depth, 0, 0),
            ("model_id", len(self.model_id), 4, 4),
        )
        for name, value, low, high in ranges:
            if not low <= value <= high:
                return name, f"header: {name} must lie in {low}..{high}, it is {value}"
        return None


@dataclass(frozen=True)
class ImageInfo:
    """The description of a .vae file, read without decoding pixels.

    width, height: pixels. layout: 'RGB', 'L', 'LA' or 'RGBA'. gray: whether the picture has no colour, even
    if it is stored as RGB. bit_depth: bits per sample, 8.
    quality: 0..100, the quality for this rate index by the calibration of the file's model, clamped to the
    range of the calibration. None if the model is not installed.
    rate_index: 0..3840, in 1/256 of the step between two of the model's eleven rate points.
    model_id: 8 hexadecimal digits. tile_size: pixels. tiles: number of tiles.
    lossless_tiles: number of tiles that are stored exactly. n_bytes: size of the whole file.
    version: of the format, such as '0.4'.
    chunks: (name, payload size in bytes) of every chunk before the first tile, in file order.
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


def layout_code(mode: str, *, gray: bool) -> int:
    """Return the layout code, 0..5. mode: RGB, L, LA or RGBA. gray: whether the colour channels are equal."""
    return next(code for code, layout in LAYOUTS.items() if layout == Layout(mode, gray))


def parse_header(data: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Read and check the header at the start of a file; data may end anywhere after it.

    Raises BadMagic, UnsupportedVersion, TruncatedData, ChecksumMismatch, CorruptPayload or LimitExceeded.
    """
    return read_header(Reader(data), limits)


def read_header(reader: Reader, limits: Limits) -> Header:
    """Read and check the header; advance the reader past it. Raises the errors of parse_header."""
    _read_signature(reader)
    version = reader.uint(1, "version")
    if (version >> 4, version & 15) != VERSION:
        msg = f"format version {version >> 4}.{version & 15}: this release reads {VERSION[0]}.{VERSION[1]}"
        raise UnsupportedVersion(msg + "; install a newer one", field="version", offset=len(SIGNATURE))
    width, height = reader.varint("width"), reader.varint("height")
    samples, rate_index, model_id, tiling = _FIXED.unpack(reader.take(_FIXED.size, "header"))
    body = reader.data[: reader.offset]
    if zlib.crc32(body) != reader.uint(4, "header CRC"):
        msg = "header: the CRC-32 disagrees with the bytes; the file is damaged, fetch it again"
        raise ChecksumMismatch(msg, field="header", offset=len(body))
    # The CRC holds, so an unknown value means a newer writer rather than damage.
    if samples & 15 not in LAYOUTS or samples >> 4 not in BIT_DEPTHS or tiling >> 4:
        msg = f"header: samples 0x{samples:02x}, tiling 0x{tiling:02x} use features this release lacks"
        raise UnsupportedVersion(msg + "; install a newer one", field="header")
    try:
        header = Header(width, height, rate_index, model_id, tiling & 15, samples & 15, samples >> 4)
    except UsageError as error:
        raise CorruptPayload(str(error), field=error.field) from None
    limits.check_size(width, height)
    return header


def _read_signature(reader: Reader) -> None:
    start = bytes(reader.data[: len(SIGNATURE)])
    if start == SIGNATURE:
        reader.offset = len(SIGNATURE)
        return
    error: type[FormatError] = BadMagic
    if SIGNATURE.startswith(start):
        error, msg = (
            TruncatedData,
            f"signature: only {len(start)} of 8 bytes are present; the file was cut short",
        )
    elif start[1:4] == SIGNATURE[1:4]:
        msg = "signature: damaged, probably by a transfer in text mode; transfer the file again as binary"
    else:
        msg = f"signature: the data starts with {start.hex(' ')}, so it is not a .vae file"
    raise error(msg, field="signature", offset=0)
