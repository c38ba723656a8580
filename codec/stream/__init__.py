"""Pictures one after another through one pipe: .vaes streams, which STREAM.md specifies."""

from codec.stream.frame_index import Index
from codec.stream.reader import Frame, LostFrames, Reader
from codec.stream.writer import Writer

__all__ = ["Frame", "Index", "LostFrames", "Reader", "Writer"]
