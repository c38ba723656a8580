"""Streams of frames: intact, damaged, truncated and forged."""

from __future__ import annotations

import io
import itertools
import os
import random
import threading
import zlib

import pytest

import codec
from codec.stream import Index, LostFrames, Reader, Writer
from codec.stream.writer import START, end_record, frame_head


class Pieces(io.RawIOBase):
    """A source that cannot seek and returns a few bytes per read."""

    def __init__(self, data):
        self.source, self.random = io.BytesIO(data), random.Random(1)

    def readable(self):
        return True

    def read(self, size=-1):
        return self.source.read(min(size, self.random.randint(1, 90)))


def skip(data):
    reader = Reader(Pieces(data), on_loss="skip")
    return {frame.number: frame.data for frame in reader}, [n for lost in reader.lost for n in lost], reader


def starts(frames):
    """Return the offset of each frame record."""
    sizes = [len(frame_head(number, len(frame))) + len(frame) for number, frame in enumerate(frames)]
    return list(itertools.accumulate(sizes[:-1], initial=len(START)))


def test_round_trip_does_not_read_past_the_end(frames, stream):
    source = Pieces(stream + b"behind")
    reader = Reader(source)
    assert [(f.number, f.data) for f in reader] == list(enumerate(frames))
    assert reader.complete
    assert source.source.read() == b"behind"


def test_overhead_is_below_16_bytes_a_frame(frames, stream):
    assert len(stream) - sum(map(len, frames)) < 16 * len(frames)
    # The frame with the largest overhead of a day of video at 24 frames a second, index included.
    number, n_bytes = 86_400 * 24, (1 << 21) - 20
    head = len(frame_head(number, n_bytes))
    assert head + len(end_record(1, [head + n_bytes])) - len(end_record(1, [])) < 16


def test_pipe_gets_each_frame_at_once_and_no_index(frames):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as source, os.fdopen(writing, "wb") as target:
        writer, reader = Writer(target), None
        for number, frame in enumerate(frames):
            writer.write(frame)  # Python buffers it, so that it arrives only if it is flushed
            reader = reader or Reader(source)
            assert next(reader) == (number, frame)
        writer.close()
        assert list(reader) == []
        assert reader.complete


def test_slow_reader_blocks_the_writer(frames):
    reading, writing = os.pipe()
    written = []

    def produce():
        with os.fdopen(writing, "wb") as target, Writer(target) as writer:
            written.extend(writer.write(frame) for frame in frames * 40)

    thread = threading.Thread(target=produce)
    with os.fdopen(reading, "rb", buffering=0) as source:
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert len(written) < 480
        assert sum(1 for _ in Reader(source)) == 480
        thread.join()
    assert len(written) == 480


def test_index_reads_any_frame(frames, stream):
    index = Index(io.BytesIO(b"something before" + stream))
    assert len(index) == 12
    assert [index[n] for n in (7, 0, 11, -1)] == [frames[n] for n in (7, 0, 11, 11)]
    assert list(index) == frames
    with pytest.raises(IndexError):
        index[12]


def test_index_refuses_streams_without_one(frames, stream):
    plain = io.BytesIO()
    with Writer(plain, index=False) as writer:
        writer.write(frames[0])
    for data in (plain.getvalue(), stream[:-1], stream + b"x", b"", b"\xff" * 90, stream[200:]):
        with pytest.raises(codec.FormatError):
            Index(io.BytesIO(data))
    damaged = bytearray(stream)
    damaged[starts(frames)[3] + 60] ^= 4
    index = Index(io.BytesIO(damaged))
    assert index[4] == frames[4]
    with pytest.raises(codec.ChecksumMismatch, match="frame 3"):
        index[3]


VERSION_AT = 8


def test_flipped_byte_loses_only_its_frame(frames, stream):
    """In head, payload and end: all other frames are read intact, and the lost one is named."""
    begin = starts(frames)
    versions = {begin[n] + len(frame_head(n, len(f))) + VERSION_AT for n, f in enumerate(frames)}
    for at in range(len(START), len(stream), 29):
        if at in versions:
            continue
        damaged = bytearray(stream)
        damaged[at] ^= 1 << at % 8
        found, lost, reader = skip(bytes(damaged))
        hit = [n for n in range(12) if begin[n] <= at < begin[n] + len(frame_head(n, 1000)) + len(frames[n])]
        hit = [n for n in hit if n == max(hit)]
        assert found == {n: frame for n, frame in enumerate(frames) if n not in hit}
        in_end = at >= begin[11] + len(frame_head(11, len(frames[11]))) + len(frames[11])
        assert lost == ([] if in_end else hit)
        assert not reader.complete or at >= len(stream) - 4


@pytest.mark.parametrize("bit", range(8))
def test_frame_of_another_version_is_passed_to_the_decoder(frames, stream, bit):
    at = starts(frames)[5] + len(frame_head(5, len(frames[5]))) + VERSION_AT
    changed = bytearray(stream)
    changed[at] ^= 1 << bit
    found, lost, _ = skip(bytes(changed))
    assert lost == []
    assert [n for n, frame in enumerate(frames) if found[n] != frame] == [5]
    with pytest.raises(codec.UnsupportedVersion):
        codec.decompress(found[5])


@pytest.mark.parametrize("change", ["dropped", "inserted", "frame dropped", "swapped", "twice"])
def test_lost_or_added_bytes_lose_only_their_frames(frames, stream, change):
    begin = starts(frames)
    at = begin[5] + 100
    changed, lost_wanted = {
        "dropped": (stream[:at] + stream[at + 40 :], [5]),
        "inserted": (stream[:at] + b"\xf7F" * 30 + stream[at:], [5]),
        "frame dropped": (stream[: begin[5]] + stream[begin[7] :], [5, 6]),
        "swapped": (
            stream[: begin[5]]
            + stream[begin[6] : begin[7]]
            + stream[begin[5] : begin[6]]
            + stream[begin[7] :],
            [5],
        ),
        "twice": (stream[: begin[6]] + stream[begin[5] : begin[6]] + stream[begin[6] :], []),
    }[change]
    found, lost, reader = skip(changed)
    assert lost == lost_wanted
    assert found == {n: frame for n, frame in enumerate(frames) if n not in lost_wanted}
    assert reader.ended


def test_loss_is_raised_and_reading_continues(frames, stream):
    damaged = bytearray(stream)
    damaged[starts(frames)[2] + 50] ^= 1
    reader = Reader(io.BytesIO(damaged))
    assert [next(reader).number, next(reader).number] == [0, 1]
    with pytest.raises(LostFrames, match="frame 2 is") as caught:
        next(reader)
    assert caught.value.frames == range(2, 3)
    assert [frame.number for frame in reader] == list(range(3, 12))
    assert reader.ended
    assert not reader.complete


def test_end_record_reports_lost_last_frames(frames, stream):
    begin = starts(frames)
    end = len(stream) - len(
        end_record(12, [len(f) + len(frame_head(n, len(f))) for n, f in enumerate(frames)])
    )
    found, lost, reader = skip(stream[: begin[10]] + stream[end:])
    assert (len(found), lost, reader.ended) == (10, [10, 11], True)


def test_every_truncation_is_reported(frames, stream):
    # The last four bytes only serve readers that seek to the end record.
    needed = len(stream) - 4
    for cut in [*range(len(START)), *range(len(START), needed, 97), needed - 5, needed - 1]:
        with pytest.raises(codec.TruncatedData):
            list(Reader(Pieces(stream[:cut])))
        if cut >= len(START):
            found, lost, reader = skip(stream[:cut])
            assert list(found.values()) == frames[: len(found)]
            assert not lost
            assert not reader.ended


def test_forged_lengths_allocate_nothing(frames):
    with pytest.raises(codec.LimitExceeded, match="max_frame_bytes"):
        next(Reader(io.BytesIO(START + frame_head(0, (1 << 32) - 1))))
    with pytest.raises(codec.LimitExceeded, match="the limit is 100"):
        next(Reader(io.BytesIO(START + frame_head(0, 700) + frames[0]), max_frame_bytes=100))
    far = Reader(io.BytesIO(START + frame_head(4_000_000_000, len(frames[0])) + frames[0]), on_loss="skip")
    assert next(far) == (4_000_000_000, frames[0])
    assert far.lost == [range(4_000_000_000)]
    body = b"\xf7E\x01\xff\xff\xff\xff\x0f"
    with pytest.raises(codec.TruncatedData):
        list(Reader(io.BytesIO(START + body + zlib.crc32(body).to_bytes(4, "little"))))
    with pytest.raises(codec.CorruptPayload, match="in a row"):
        list(Reader(io.BytesIO(START + frame_head(0, 30) * 1_200)))


def test_other_data_is_refused(frames):
    for data, error in (
        (b"\x89PNG\r\n\x1a\n12", codec.BadMagic),
        (frames[0], codec.BadMagic),
        (b"", codec.TruncatedData),
        (START[:-1] + b"\x02", codec.UnsupportedVersion),
    ):
        with pytest.raises(error):
            Reader(io.BytesIO(data))
    with pytest.raises(codec.UsageError, match="on_loss"):
        Reader(io.BytesIO(START), on_loss="ignore")


def test_writer_refuses_data_that_is_no_vae_file(frames):
    writer = Writer(io.BytesIO())
    with pytest.raises(codec.UsageError, match=r"\.vae file"):
        writer.write(b"\x89PNG\r\n\x1a\n")
    writer.close()
    writer.close()
    with pytest.raises(codec.UsageError, match="closed"):
        writer.write(frames[0])


def test_exception_in_the_block_leaves_the_stream_without_end(frames):
    fp = io.BytesIO()

    def fail():
        with Writer(fp) as writer:
            writer.write(frames[0])
            raise KeyError("source")

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(codec.TruncatedData):
        list(Reader(io.BytesIO(fp.getvalue())))
