"""Convert between samples and lossless VP8L streams with Pillow's WebP codec."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.tile_payloads import unwrap_webp, wrap_webp
from codec.errors import CorruptPayload

# The first is best for flat areas, the second otherwise. Higher efforts take seconds
# and gain nothing on text.
_EFFORTS = ({"method": 0, "quality": 0}, {"method": 4, "quality": 75})

# Share of pixels equal to their left neighbour above which a tile counts as drawn; photos have fewer.
DRAWN_SHARE = 0.3
# Side of the central part that is compressed as a probe. Its streams, one per entry of _EFFORTS, may take
# PROBE_FACTORS times the bytes per pixel of the learned tile plus PROBE_BYTES: a small part compresses worse
# than the whole tile.
PROBE_SIDE = 128
PROBE_FACTORS, PROBE_BYTES = (4.0, 2.2), 512


def pack(samples: NDArray[np.uint8]) -> bytes:
    """Compress samples, uint8 [h, w] or [h, w, 3], to a VP8L stream; gray becomes three equal channels."""
    picture = Image.fromarray(samples)
    return min((_stream(picture, effort) for effort in _EFFORTS), key=len)


def _stream(picture: Image.Image, effort: dict[str, int]) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "WEBP", lossless=True, **effort)
    return unwrap_webp(buffer.getvalue())


def may_pay(samples: NDArray[np.uint8], n_bytes: int) -> bool:
    """Estimate whether samples, uint8 [h, w, 3], may take fewer than n_bytes without loss.

    A cheap test that spares photos the full attempt: drawn content repeats pixels or compresses well in a
    small part, photographs do not.
    """
    rows = samples[::4]
    if rows.shape[1] == 1 or (rows[:, 1:] == rows[:, :-1]).all(2).mean() > DRAWN_SHARE:
        return True
    height, width = samples.shape[:2]
    top, left = max(0, height - PROBE_SIDE) // 2, max(0, width - PROBE_SIDE) // 2
    part = np.ascontiguousarray(samples[top : top + PROBE_SIDE, left : left + PROBE_SIDE])
    most = n_bytes * part[..., 0].size / (height * width)
    picture = Image.fromarray(part)
    return all(
        len(_stream(picture, effort)) < factor * most + PROBE_BYTES
        for effort, factor in zip(_EFFORTS, PROBE_FACTORS, strict=True)
    )


def unpack(stream: bytes | memoryview, where: str) -> NDArray[np.uint8]:
    """Decompress a VP8L stream that check_vp8l has passed to samples, uint8 [h, w, 3].

    where: prefix of messages, such as 'tile 3'. Raises CorruptPayload.
    """
    try:
        with Image.open(BytesIO(wrap_webp(stream)), formats=("WEBP",)) as picture:
            return np.asarray(picture.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything over damaged data
        msg = f"{where}: the lossless stream is damaged ({error}); fetch the file again"
        raise CorruptPayload(msg, field="lossless") from error


def pack_plane(samples: NDArray[np.uint8]) -> bytes:
    """Compress a plane, uint8 [h, w]: to one byte if it is constant, otherwise to a VP8L stream."""
    first = samples.flat[0]
    return bytes([first]) if (samples == first).all() else pack(samples)


def unpack_plane(part: bytes | memoryview, shape: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """Decompress a result of pack_plane to uint8 [h, w]; shape: (h, w). Raises CorruptPayload."""
    if len(part) == 1:
        return np.full(shape, part[0], np.uint8)
    return unpack(part, where)[:, :, 1]
