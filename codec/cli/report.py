"""Messages and exit codes: one printable line per event, on standard error."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, TextIO

from codec.errors import (
    BackendMismatch,
    BackendMissing,
    CodecError,
    FormatError,
    LimitExceeded,
    UnknownModel,
    UnsupportedImage,
    UsageError,
    WeightsError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Exit(IntEnum):
    """Exit codes; `vaezip --help` and docs/guide/command-line.md list them."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    BAD_PICTURE = 3
    BAD_STREAM = 4
    LIMIT = 5
    INPUT_OUTPUT = 6
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES_HELP = """\b
Exit codes:
  0    all done
  1    some files failed, the others are done; or training failed
  2    wrong option or argument
  3    a picture cannot be compressed
  4    a .vae file is damaged or needs another release
  5    a limit is exceeded or a target is missed
  6    input or output failed, or weights are not installed
  130  interrupted
"""

_CODES: tuple[tuple[type[BaseException], Exit], ...] = (
    (UsageError, Exit.USAGE),
    (UnsupportedImage, Exit.BAD_PICTURE),
    (FormatError, Exit.BAD_STREAM),
    (UnknownModel, Exit.BAD_STREAM),
    (LimitExceeded, Exit.LIMIT),
    (MemoryError, Exit.LIMIT),
    (WeightsError, Exit.INPUT_OUTPUT),
    (BackendMissing, Exit.INPUT_OUTPUT),
    (BackendMismatch, Exit.INPUT_OUTPUT),
    (OSError, Exit.INPUT_OUTPUT),
)

_ADVICE = {
    errno.ENOENT: "check the name",
    errno.EEXIST: "-f overwrites it",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "check the name",
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "choose another folder with -o",
    errno.ENAMETOOLONG: "choose a shorter name with -o",
    errno.EINVAL: "choose another name",
}


def exit_code(error: BaseException) -> Exit:
    """Return the exit code for an error."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return Exit.SOME_FAILED


def is_expected(error: BaseException) -> bool:
    """Return whether an error has a message for the user, rather than being a defect of this program."""
    return isinstance(error, (CodecError, OSError, MemoryError)) or _is_torch_out_of_memory(error)


def describe(error: BaseException, name: str | None = None) -> str:
    """Return an error as one line: `NAME: problem; what to do`. name: file that the error is about."""
    if isinstance(error, MemoryError) or _is_torch_out_of_memory(error):
        text = "not enough memory; use a smaller picture or fewer --threads"
    elif isinstance(error, OSError):
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else name
        text = error.strerror or str(error) or type(error).__name__
        if error.errno in _ADVICE and ";" not in text:
            text = f"{text}; {_ADVICE[error.errno]}"
    else:
        text = str(error)
    if name is not None and not text.startswith(f"{name}: "):
        text = f"{name}: {text}"
    return printable(text)


def printable(text: str) -> str:
    """Escape line breaks, terminal controls and undecodable bytes, such as those of a file name."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def say(text: str) -> None:
    """Print one line on standard error."""
    if sys.stderr is not None:
        print(printable(text), file=sys.stderr)


def fail(text: str) -> None:
    """Print an error."""
    say(f"vaezip: {text}")


def warn(name: str, text: str) -> None:
    """Print a warning about a file."""
    say(f"vaezip: warning: {name}: {' '.join(text.split())}")


@contextmanager
def report_warnings(name: str, *, quiet: bool = False) -> Iterator[None]:
    """Print each different UserWarning raised in the block once, after it, as a warning about a file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("once", UserWarning)
        yield
    if not quiet:
        for text in dict.fromkeys(str(warning.message) for warning in caught):
            warn(name, text)


def escape_unprintable_output() -> None:
    """Escape characters that the encoding of the output lacks, as under LC_ALL=C, instead of failing."""
    stream: TextIO | None
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _is_torch_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(
        sign in str(error) for sign in ("not enough memory", "can't allocate memory", "out of memory")
    )
