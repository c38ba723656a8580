"""Bounded reading of bytes, and the variable-length integers of FORMAT.md section 1.2."""

from __future__ import annotations

from codec.errors import CorruptPayload, TruncatedData

VARINT_MAX = (1 << 32) - 1
VARINT_BYTES = 5


class Reader:
    """A cursor over bytes that never reads past the end and never copies."""

    def __init__(self, data: bytes | memoryview, offset: int = 0) -> None:
        self.data = memoryview(data).cast("B")
        self.offset = offset

    @property
    def left(self) -> int:
        """How many bytes follow the cursor."""
        return len(self.data) - self.offset

    def take(self, n_bytes: int, field: str) -> memoryview:
        """Return the next bytes. Raises TruncatedData, naming the field, where there are fewer."""
        if self.left < n_bytes:
            msg = (
                f"{field} at byte {self.offset}: {n_bytes} bytes are due, {self.left} are left; "
                "the file was cut short, fetch it again"
            )
            raise TruncatedData(msg, field=field, offset=self.offset)
        self.offset += n_bytes
        return self.data[self.offset - n_bytes : self.offset]

    def uint(self, n_bytes: int, field: str) -> int:
        """Return an unsigned little-endian integer of so many bytes."""
        return int.from_bytes(self.take(n_bytes, field), "little")

    def varint(self, field: str) -> int:
        """Return an integer in 0..2**32 - 1 in its shortest form.

        Raises CorruptPayload for a longer form or a larger number.
        """
        start, value = self.offset, 0
        for i in range(VARINT_BYTES):
            byte = self.uint(1, field)
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                if value > VARINT_MAX or (byte == 0 and i > 0):
                    break
                return value
        msg = f"{field} at byte {start}: not the shortest form of a number below 2**32; the file is damaged"
        raise CorruptPayload(msg, field=field, offset=start)


def varint(value: int) -> bytes:
    """Return the LEB128 form of an integer in 0..2**32 - 1: 1 to 5 bytes."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
