"""A decode handler for webdataset that decodes the `.vae` members of shards."""

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
    """A handler for `WebDataset(...).decode(PictureHandler())`; picklable, for spawned workers.

    kind: 'pil' for PIL images, 'rgb8' for arrays uint8 [H, W, 3] (gray in three equal channels, alpha
    dropped). Each worker decodes on one thread; use more workers for more throughput. Damaged members raise
    CodecError, which webdataset's `handler=` argument can process. Raises UsageError for another kind.
    """

    def __init__(self, kind: Literal["pil", "rgb8"] = "pil") -> None:
        if kind not in ("pil", "rgb8"):
            raise UsageError(f"kind must be 'pil' or 'rgb8', not {kind!r}", field="kind")
        self.kind = kind

    def __call__(self, key: str, data: bytes) -> Image.Image | NDArray[np.uint8] | None:
        """Decode a member whose name ends in .vae; return None, for the next handler, for any other."""
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
