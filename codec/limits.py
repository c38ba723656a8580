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
    max_memory_bytes: what decoding may take beyond the loaded model. Fewer threads are used to stay below it,
        and a file that not even one of them could decode is refused.
    """

    max_pixels: int | None = 178_956_970
    max_side: int | None = 65_535
    max_chunks: int | None = 1_000
    max_metadata_bytes: int | None = 16 << 20
    max_memory_bytes: int | None = 2 << 30

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

    def workers(self, wanted: int, shared: int, each: int) -> int:
        """Return how many workers of `each` bytes fit beside `shared` bytes, at most `wanted`.

        Raises LimitExceeded where not even one does.
        """
        if self.max_memory_bytes is None:
            return wanted
        least = "bytes of memory that decoding takes at least:"
        _check("max_memory_bytes", self.max_memory_bytes, shared + each, least)
        return min(wanted, (self.max_memory_bytes - shared) // each)


DEFAULT_LIMITS = Limits()
UNLIMITED = Limits(None, None, None, None, None)


def _check(name: str, cap: int | None, value: int, what: str) -> None:
    if cap is not None and value > cap:
        option = " or --max-pixels" if name in ("max_pixels", "max_side") else ""
        way_out = f"if you trust the file, pass Limits({name}=...){option}"
        raise LimitExceeded(f"{what} {value:,}, the limit is {cap:,}; {way_out}", field=name)
