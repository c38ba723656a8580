"""EXIF and XMP: are they sound, and do they still ask for a turn that has been made?"""

from __future__ import annotations

import re
import struct

PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112

_SHORT = 3
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation\s*(?:=\s*["']|>)\s*)[2-8]""")


def without_prefix(exif: bytes) -> bytes:
    """Return EXIF data from its TIFF header on: JPEG puts six bytes before it, PNG and WebP do not."""
    while exif.startswith(PREFIX):
        exif = exif[len(PREFIX) :]
    return exif


def upright_exif(exif: bytes) -> bytes | None:
    """Return EXIF data (from its TIFF header on) with orientation 1 where it names one; else as it is.

    Only that number changes, so nothing that holds offsets is moved. None for data that is damaged: no TIFF
    header, or a first directory that reaches beyond the end, itself or by one of its values.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    try:
        if order is None:
            return None
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        patched = bytearray(exif)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, n_values, offset = struct.unpack_from(f"{order}HHII", exif, at)
            n_bytes = _TYPE_BYTES.get(kind, 0) * n_values
            if n_bytes > 4 and offset + n_bytes > len(exif):
                return None
            if tag == ORIENTATION:
                struct.pack_into(f"{order}HHIHH", patched, at, tag, _SHORT, 1, 1, 0)
    except struct.error:
        return None
    return bytes(patched)


def upright_xmp(xmp: bytes) -> bytes:
    """Return an XMP packet in which no orientation other than 1 is named."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
