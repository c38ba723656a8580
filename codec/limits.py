"""Limits on what a file may declare, checked before allocation."""

from __future__ import annotations

from dataclasses import dataclass

from codec.errors import LimitExceeded


@dataclass(frozen=True)
class Limits:
    """Caps on what a file may declare; None removes a cap. The defaults suit untrusted input.

    max_pixels: width * height. The default, 178,956,970, is the size beyond which Pillow refuses a picture.
    max_side: width and height, each, in pixels.
    max_chunks: chunks before the first tile.
    max_metadata_bytes: payload bytes of all ancillary chunks together.
    max_memory_bytes: memory that decoding may use in addition to the loaded model. The decoder uses fewer
        threads to stay below it, and refuses a file that exceeds it with one thread.
    """

    max_pixels: int | None = 178_956_970
    max_side: int | None = 65_535
    max_chunks: int | None = 1_000
    max_metadata_bytes: int | None = 16 << 20
    max_memory_bytes: int | None = 2 << 30

    def check_size(self, width: int, height: int) -> None:
        """Raise LimitExceeded for a picture with more pixels or a longer side than allowed."""
        size = f"a picture of {width} x {height} pixels"
        _check("max_side", self.max_side, max(width, height), f"{size} has a side of")
        _check("max_pixels", self.max_pixels, width * height, f"{size} has")

    def check_chunks(self, count: int) -> None:
        """Raise LimitExceeded for more chunks before the first tile than allowed."""
        _check("max_chunks", self.max_chunks, count, "chunks before the first tile:")

    def check_metadata(self, n_bytes: int) -> None:
        """Raise LimitExceeded for more bytes of metadata than allowed."""
        _check("max_metadata_bytes", self.max_metadata_bytes, n_bytes, "bytes of metadata:")

    def workers(self, wanted: int, shared: int, each: int) -> int:
        """Return the number of workers, at most `wanted`, that fit into max_memory_bytes.

        shared: bytes that all workers use together. each: additional bytes per worker.
        Raises LimitExceeded if one worker does not fit.
        """
        if self.max_memory_bytes is None:
            return wanted
        least = "bytes of memory that decoding needs at least:"
        _check("max_memory_bytes", self.max_memory_bytes, shared + each, least)
        return min(wanted, (self.max_memory_bytes - shared) // each)


DEFAULT_LIMITS = Limits()
UNLIMITED = Limits(None, None, None, None, None)


def _check(name: str, cap: int | None, value: int, what: str) -> None:
    if cap is not None and value > cap:
        option = " or --max-pixels" if name in ("max_pixels", "max_side") else ""
        way_out = f"if you trust the file, pass Limits({name}=...){option}"
        raise LimitExceeded(f"{what} {value:,}, the limit is {cap:,}; {way_out}", field=name)
