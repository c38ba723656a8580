"""Mutations of .vae files. Half of them get valid CRCs, because others never pass the first check."""

from __future__ import annotations

import random
import zlib

LENGTHS = (b"\x00", b"\x01", b"\x7f", b"\x80\x01", b"\xff\xff\x03", b"\xff\xff\xff\xff\x0f", b"\xff" * 6)


def _skip_varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the value of a varint of at most five bytes, and the offset after it."""
    value = 0
    for i in range(5):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << 7 * i
        if byte < 128:
            break
    return value, at


def mended(data: bytes) -> bytes:
    """Return the file with valid CRC-32s of header and chunks, as far as its lengths can be followed."""
    out = bytearray(data)
    at = 9
    for _ in range(2):
        _, at = _skip_varint(out, at)
    start, at = 0, at + 8
    while at + 4 <= len(out):
        out[at : at + 4] = zlib.crc32(out[start:at]).to_bytes(4, "little")
        start = at + 4
        length, at = _skip_varint(out, start + 1)
        at += length
    return bytes(out)


def changed(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Return a random seed after one to four random changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not data:
            break
        at, kind = rng.randrange(len(data)), rng.randrange(9)
        if kind <= 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 3:
            data = data[:at]
        elif kind == 4:
            other = rng.choice(seeds)
            data = data[:at] + other[rng.randrange(len(other)) :]
        elif kind == 5:
            data[at : at + 1] = rng.choice(LENGTHS)
        elif kind == 6:
            end = min(len(data), at + rng.randrange(1, 40))
            data[at:at] = data[at:end]
        elif kind == 7:
            del data[at : at + rng.randrange(1, 40)]
        else:
            data[at : at + 8] = rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Return a .vae file among the seeds after one to four changes, in half of the cases with valid CRCs."""
    data = changed(rng, seeds)
    return mended(data) if rng.random() < 0.5 else data
