"""No large allocation is made before header, size, structure and CRCs are checked."""

from __future__ import annotations

import tracemalloc

import pytest

from codec.bitstream.container import parse_container, write_container
from codec.bitstream.header import Header
from codec.bitstream.tile_payloads import TilePayload
from codec.decode.decoder import Decoder
from codec.errors import ChecksumMismatch, CodecError, LimitExceeded, TruncatedData
from codec.inference.weights import load_model
from codec.model.index import default_model_id

SIDE = 12_000
MOST = 1 << 20


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def files() -> dict[str, tuple[bytes, type[CodecError]]]:
    """Return invalid files that declare at least 144 megapixels, with the error that refuses each."""
    head = Header(SIDE, SIDE, 0, default_model_id())
    stub = TilePayload(0, 0, 0, b"").pack()
    whole = write_container(head, [stub] * head.tiles)
    start = len(head.pack())
    return {
        "too large": (Header(65_535, 65_535, 0, default_model_id()).pack() + bytes(12), LimitExceeded),
        "header damaged": (flipped(whole, 9), ChecksumMismatch),
        "header alone": (whole[:start], TruncatedData),
        "cut in the middle": (whole[: len(whole) // 2], TruncatedData),
        "last byte missing": (whole[:-1], TruncatedData),
        "last tile damaged": (flipped(whole, len(whole) - 5), ChecksumMismatch),
    }


@pytest.mark.parametrize("name", list(files()))
def test_refused_before_anything_is_allocated(name):
    data, error = files()[name]
    load_model(default_model_id())
    decoder = Decoder(threads=1)
    for read in (parse_container, decoder.decode):
        tracemalloc.start()
        try:
            with pytest.raises(error):
                read(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < MOST
