"""VP8L, the lossless image stream of WebP: what its first bytes say, and the container that readers expect.

RFC 9649 section 3. A .vae file holds the bare stream (FORMAT.md section 4.4).
"""

from __future__ import annotations

import struct

from codec.errors import CorruptPayload

SIGNATURE = 0x2F
MIN_BYTES = 6
HEADER_BYTES = 20

_HEADER = struct.Struct("<BI")


def check_vp8l(stream: memoryview, width: int, height: int, where: str) -> None:
    """Refuse a stream that does not begin as one of width x height pixels, before anything is allocated.

    Raises CorruptPayload, naming `where` it stands.
    """
    if len(stream) < MIN_BYTES or stream[0] != SIGNATURE:
        raise CorruptPayload(f"{where}: no lossless stream is there; the file is damaged", field="lossless")
    _, bits = _HEADER.unpack(stream[: _HEADER.size])
    found = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    # Bits 29 to 31 are a version, which must be 0.
    if found != (width, height) or bits >> 29:
        msg = f"{where}: the lossless stream is of {found[0]}x{found[1]} pixels, {width}x{height} are due"
        raise CorruptPayload(msg, field="lossless")


def wrap_webp(stream: bytes | memoryview) -> bytes:
    """Return a stream as a WebP file."""
    body = b"WEBPVP8L" + len(stream).to_bytes(4, "little") + stream + bytes(len(stream) % 2)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def unwrap_webp(data: bytes) -> bytes:
    """Return the stream of a WebP file that holds nothing else."""
    size = int.from_bytes(data[16:HEADER_BYTES], "little")
    return data[HEADER_BYTES : HEADER_BYTES + size]
