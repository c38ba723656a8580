"""Samples to lossless VP8L streams and back, by Pillow's WebP."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.tile_payloads import unwrap_webp, wrap_webp
from codec.errors import CorruptPayload

# The first is best for flat areas, the second for all else; more takes seconds and gains nothing on text.
_EFFORTS = ({"method": 0, "quality": 0}, {"method": 4, "quality": 75})

# Of photos, few pixels equal the one before them.
DRAWN_SHARE = 0.3
# The streams of a part of this side, quick and good, may take so many times the bytes per pixel that there
# are, and so many bytes more: they are less than the whole one has to gain from.
PROBE_SIDE = 128
PROBE_FACTORS, PROBE_BYTES = (4.0, 2.2), 512


def pack(samples: NDArray[np.uint8]) -> bytes:
    """Return samples, uint8 [h, w] or [h, w, 3], as a VP8L stream; gray becomes three equal channels."""
    picture = Image.fromarray(samples)
    return min((_stream(picture, effort) for effort in _EFFORTS), key=len)


def _stream(picture: Image.Image, effort: dict[str, int]) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "WEBP", lossless=True, **effort)
    return unwrap_webp(buffer.getvalue())


def may_pay(samples: NDArray[np.uint8], n_bytes: int) -> bool:
    """Tell whether it is worth trying to store samples, uint8 [h, w, 3], without loss instead of in n_bytes.

    A cheap guess that spares photos the attempt: what is drawn repeats pixels or compresses well at once,
    what is photographed does not.
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
    """Return the samples of a VP8L stream whose size has been checked: uint8 [h, w, 3].

    Raises CorruptPayload, naming `where` it stands.
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
    """Return one plane, uint8 [h, w], as one byte where it is constant, otherwise as a VP8L stream."""
    first = samples.flat[0]
    return bytes([first]) if (samples == first).all() else pack(samples)


def unpack_plane(part: bytes | memoryview, shape: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """Undo pack_plane; shape: (h, w). Raises CorruptPayload."""
    if len(part) == 1:
        return np.full(shape, part[0], np.uint8)
    return unpack(part, where)[:, :, 1]
