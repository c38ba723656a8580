"""Read and write .vaes streams: pictures one after another through a pipe (STREAM.md)."""

from codec.stream.frame_index import Index
from codec.stream.reader import Frame, LostFrames, Reader
from codec.stream.writer import Writer

__all__ = ["Frame", "Index", "LostFrames", "Reader", "Writer"]
