"""What a .vae file says about itself; needs neither torch nor numpy."""

from __future__ import annotations

from codec.bitstream.container import read_info
from codec.bitstream.given import Data, given
from codec.limits import DEFAULT_LIMITS, Limits
from codec.types import ImageInfo


def info(source: Data, *, limits: Limits = DEFAULT_LIMITS) -> ImageInfo:
    """Describe a .vae file, given as its bytes or its path, without decoding any pixels.

    Header and structure are checked, the coded pixels are not. Raises FormatError for data that is no
    sound .vae file, LimitExceeded for a larger picture than `limits` allow, UsageError for what is no file,
    OSError for an unreadable one. Messages about a path begin with it.
    """
    with given(source) as view:
        return read_info(view, limits)
