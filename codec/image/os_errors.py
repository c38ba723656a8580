"""The package's errors as Pillow's formats raise theirs: each is the same CodecError, and an OSError too.

Loaders that skip what is damaged go by OSError, and by UnidentifiedImageError where a file is opened.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import UnidentifiedImageError

from codec import errors
from codec.errors import CodecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CodecError)]


def _doubled(prefix: str, base: type[OSError]) -> dict[type, type[CodecError]]:
    """Return, for each error, a class that is a `base` as well."""
    made: dict[type, type[CodecError]] = {}
    for kind in _KINDS:
        named = {"__module__": __name__, "__doc__": kind.__doc__}
        made[kind] = type(prefix + kind.__name__, (kind, base), named)
    # Errors pass between processes by the names of their classes.
    globals().update({cls.__name__: cls for cls in made.values()})
    return made


_OPENING = _doubled("Unidentified", UnidentifiedImageError)
_OTHERWISE = _doubled("File", OSError)


@contextmanager
def os_errors(name: str = "", *, opening: bool = False) -> Iterator[None]:
    """Let a CodecError about a file out as an OSError too, and as an UnidentifiedImageError in `opening`.

    Its message begins with the file's name, if it has one. Wrong arguments are no fault of a file: a
    UsageError stays as it is.
    """
    try:
        yield
    except UsageError:
        raise
    except CodecError as error:
        made = _OPENING if opening else _OTHERWISE
        kind = next(made[kind] for kind in type(error).__mro__ if kind in made)
        message = f"{name}: {error}" if name else str(error)
        raise kind(message, field=error.field, offset=error.offset) from error
