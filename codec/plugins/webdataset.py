"""A decode handler for webdataset: `.vae` members of shards become pictures."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

from codec.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from codec.decode.decoder import Decoder


class PictureHandler:
    """A handler for `WebDataset(...).decode(PictureHandler())`; picklable, so workers may be spawned.

    kind: 'pil' gives PIL images, 'rgb8' arrays uint8 [H, W, 3], gray in three equal channels, alpha dropped.
    Each worker decodes on one thread: more pictures at a time take more workers. Damaged members raise a
    CodecError, which webdataset's own `handler=` deals with.
    """

    def __init__(self, kind: Literal["pil", "rgb8"] = "pil") -> None:
        if kind not in ("pil", "rgb8"):
            raise UsageError(f"kind must be 'pil' or 'rgb8', not {kind!r}", field="kind")
        self.kind = kind

    def __call__(self, key: str, data: bytes) -> Image.Image | NDArray[np.uint8] | None:
        """Decode a member whose name ends in .vae; None leaves any other to the next handler."""
        if key.rpartition(".")[2].lower() != "vae":
            return None
        picture = _decoder().decode(data)
        if self.kind == "pil":
            return picture
        import numpy as np

        return np.array(picture.convert("RGB"))


@functools.cache
def _decoder() -> Decoder:
    from codec.decode.decoder import Decoder

    return Decoder(threads=1)
