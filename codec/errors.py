"""The exception tree of the codec, split by who is to blame."""

from __future__ import annotations

from dataclasses import dataclass


class CodecError(Exception):
    """Base of every error this package raises on purpose.

    Attributes:
        field: name of the header field, chunk or option at fault, or None.
        offset: byte offset in the input where the fault was found, or None.
    """

    def __init__(self, message: str, *, field: str | None = None, offset: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.offset = offset


class FormatError(CodecError, ValueError):
    """The .vae data is at fault."""


class BadMagic(FormatError):
    """The data does not start with the .vae signature."""


class UnsupportedVersion(FormatError):
    """The data is a .vae file of a version, or with a critical chunk, that this release cannot read."""


class TruncatedData(FormatError):
    """The data ends before the structure it announces."""


class ChecksumMismatch(FormatError):
    """A stored CRC-32 disagrees with the bytes or symbols it covers."""


class CorruptPayload(FormatError):
    """A value lies outside what FORMAT.md allows."""


class UnknownModel(CodecError):
    """The file names a model whose weights are not installed."""


class WeightsError(CodecError):
    """A weights file is missing, damaged or does not match its index."""


class UnsupportedImage(CodecError, ValueError):
    """The picture given to the encoder cannot be compressed."""


class LimitExceeded(CodecError):
    """A size limit is exceeded, or a rate or quality target cannot be met."""


class BackendMismatch(CodecError):
    """This machine does not reproduce the known-answer vector of the scale network."""


class BackendMissing(CodecError):
    """Neither onnxruntime nor torch, which compute the networks, is installed."""


class UsageError(CodecError, ValueError):
    """An option or argument has a wrong type or a value outside its range."""


class TrainingError(CodecError):
    """Training cannot start or continue."""


class BenchmarkError(CodecError):
    """A benchmark cannot start or continue."""


@dataclass(frozen=True)
class Failure:
    """A failed item of `Encoder.map` or `Decoder.map`, yielded in place of its result with on_error="yield".

    index: position of the item, from 0. error: the exception that it raised.
    """

    index: int
    error: Exception
