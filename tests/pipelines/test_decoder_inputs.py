"""Sources that decoding accepts, and errors for anything else."""

from __future__ import annotations

import array
import io
import mmap

import numpy as np
import pytest
from PIL import Image

import codec
from codec.decode.symbols import verify
from codec.stream import Reader, Writer

DECODING = {
    "decompress": codec.decompress,
    "decode": codec.Decoder().decode,
    "decode_array": codec.Decoder().decode_array,
    "map": lambda data: next(codec.Decoder(threads=1).map([data])),
    "salvage": codec.salvage,
    "verify": verify,
    "info": codec.info,
}


@pytest.fixture(scope="module")
def data(photo):
    return codec.compress(photo(40, 24), 60)


@pytest.fixture
def path(tmp_path, data):
    path = tmp_path / "a.vae"
    path.write_bytes(data)
    return path


def same(first, second):
    first, second = (getattr(found, "picture", found) for found in (first, second))
    return np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("decode", DECODING.values(), ids=DECODING)
def test_paths_give_what_their_bytes_give(data, path, decode):
    wanted = decode(data)
    assert same(decode(str(path)), wanted)
    assert same(decode(path), wanted)
    with pytest.raises(codec.FormatError) as of_bytes:
        decode(data[:3])
    path.write_bytes(data[:3])
    with pytest.raises(type(of_bytes.value)) as of_path:
        decode(path)
    assert str(of_path.value) == f"{path}: {of_bytes.value}"
    with pytest.raises(FileNotFoundError):
        decode(path.with_name("missing.vae"))


@pytest.mark.parametrize(
    "hand_over",
    [bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8), lambda data: array.array("b", data)],
    ids=["bytearray", "memoryview", "numpy", "array"],
)
def test_buffers_give_what_their_bytes_give(data, hand_over):
    assert codec.decompress(hand_over(data)).tobytes() == codec.decompress(data).tobytes()


def test_mapped_and_scattered_bytes(data, path):
    wanted = codec.decompress(data).tobytes()
    with path.open("rb") as fp, mmap.mmap(fp.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert codec.decompress(bytes(mapped)).tobytes() == wanted
    twice = bytes(byte for byte in data for _ in range(2))
    assert codec.decompress(memoryview(twice)[::2]).tobytes() == wanted


@pytest.mark.parametrize("decode", DECODING.values(), ids=DECODING)
def test_other_types_are_refused(path, decode):
    with path.open("rb") as binary, path.open(encoding="latin-1") as text:
        for thing in (None, 3, [1, 2], object(), binary, text, io.BytesIO(), Image.new("L", (4, 4))):
            with pytest.raises(codec.UsageError, match=r"the bytes or the path of a \.vae file"):
                decode(thing)
        with pytest.raises(codec.UsageError, match="as bytes"):
            decode(text.read())
        with pytest.raises(codec.UsageError, match=r"decode_from\(\)"):
            decode(binary)
    with pytest.raises(codec.FormatError):
        decode(np.zeros((9, 9, 3), np.uint8).data)


def test_picture_bytes_as_text_are_refused(chelsea_path):
    with pytest.raises(codec.UsageError, match="cannot take a picture from str"):
        codec.compress(chelsea_path.read_bytes().decode("latin-1"))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("read", [codec.Decoder().decode_from, Reader], ids=["decode_from", "Reader"])
def test_files_in_text_mode_are_not_read(path, encoding, read):
    with path.open(encoding=encoding) as text, pytest.raises(codec.UsageError, match=r"text mode.*'rb'"):
        read(text)
    with pytest.raises(codec.UsageError, match="no open file"):
        read(path)


def test_files_in_text_mode_are_not_written(photo, tmp_path):
    encoder = codec.Encoder(60)
    for write in (lambda fp: encoder.encode_to(photo(16, 16), fp), Writer):
        with (tmp_path / "a").open("w") as text, pytest.raises(codec.UsageError, match=r"text mode.*'wb'"):
            write(text)
        assert (tmp_path / "a").read_bytes() == b""
        with pytest.raises(codec.UsageError, match="no open file"):
            write(tmp_path / "b")
