"""What a decoder will put up with before it allocates anything."""

from __future__ import annotations

from dataclasses import dataclass

from codec.errors import LimitExceeded


@dataclass(frozen=True)
class Limits:
    """Caps on what a file may declare; None lifts a cap. The defaults suit untrusted input.

    max_pixels: width * height. 178,956,970 is where Pillow, too, refuses to open a picture.
    max_side: width and height, each, in pixels.
    max_chunks: chunks before the first tile.
    max_metadata_bytes: payload bytes of all ancillary chunks together.
    """

    max_pixels: int | None = 178_956_970
    max_side: int | None = 65_535
    max_chunks: int | None = 1_000
    max_metadata_bytes: int | None = 16 << 20

    def check_size(self, width: int, height: int) -> None:
        """Raise LimitExceeded for a picture of more pixels, or with a longer side, than allowed."""
        size = f"a picture of {width} x {height} pixels"
        _check("max_side", self.max_side, max(width, height), f"{size} has a side of")
        _check("max_pixels", self.max_pixels, width * height, f"{size} has")

    def check_chunks(self, count: int) -> None:
        """Raise LimitExceeded for more chunks before the first tile than allowed."""
        _check("max_chunks", self.max_chunks, count, "chunks before the first tile:")

    def check_metadata(self, n_bytes: int) -> None:
        """Raise LimitExceeded for more bytes of metadata than allowed."""
        _check("max_metadata_bytes", self.max_metadata_bytes, n_bytes, "bytes of metadata:")


DEFAULT_LIMITS = Limits()
UNLIMITED = Limits(None, None, None, None)


def _check(name: str, cap: int | None, value: int, what: str) -> None:
    if cap is not None and value > cap:
        msg = f"{what} {value:,}, the limit is {cap:,}; if you trust the file, pass Limits({name}=...)"
        raise LimitExceeded(msg, field=name)
