"""What `vaezip --version` prints."""

from __future__ import annotations

from codec import __version__
from codec.bitstream.header import VERSION
from codec.errors import CodecError
from codec.model.index import default_model_id, model_entry


def version_lines() -> list[str]:
    """Return the versions of package, bitstream and model, a line each."""
    try:
        entry = model_entry(default_model_id())
        model = f"{entry.model_id.hex()} ({entry.name})"
    except CodecError as error:
        model = f"none: {error}"
    return [f"vaezip {__version__}", f"bitstream {'.'.join(map(str, VERSION))}", f"model {model}"]
