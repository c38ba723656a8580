"""Bytes of a source that may be looked at before they are taken, or passed over."""

from __future__ import annotations

from typing import IO

from codec.files import read_some

_BLOCK = 1 << 16


class Lookahead:
    """A window on a file object that gives what it has, in whatever pieces.

    Never reads beyond what is asked for, so that a live source is not waited for in vain.
    """

    def __init__(self, fp: IO[bytes]) -> None:
        self._fp = fp
        self._held = bytearray()

    def peek(self, n_bytes: int) -> bytes:
        """Return the next bytes, which stay; fewer at the end of the source."""
        while len(self._held) < n_bytes:
            part = read_some(self._fp, min(n_bytes - len(self._held), _BLOCK))
            if not part:
                break
            self._held += part
        return bytes(self._held[:n_bytes])

    def skip(self, n_bytes: int) -> None:
        """Pass over bytes that were peeked at."""
        del self._held[:n_bytes]

    def find(self, start: bytes) -> None:
        """Pass over bytes up to where `start` may begin, or the end of the source."""
        while True:
            at = self._held.find(start)
            if at >= 0:
                return self.skip(at)
            self.skip(max(0, len(self._held) - len(start) + 1))
            if len(self.peek(len(start))) < len(start):
                return self.skip(len(start))
