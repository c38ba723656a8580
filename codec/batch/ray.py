"""A callable for pipelines that hand over batches of columns, as Ray Data's map_batches does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from codec.errors import CodecError, UsageError
from codec.options import EncodeKeywords

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CompressBatch:
    """Compress one column of pictures into a column of .vae bytes.

    column: holds arrays uint8 [H, W, 3], in one array [N, H, W, 3] or one by one, or the bytes of
    picture files. output: name of the column that is added. quality, encoding: as for `Encoder`.
    on_error: "raise", or "null" to go on: then a bad row gets None, and its error stands in the column
    `<output>_error`. threads: of one picture; Ray gives an actor one core unless told otherwise.

        dataset = ray.data.read_images("s3://bucket/pictures")
        dataset.map_batches(CompressBatch, fn_constructor_kwargs={"quality": 60}, concurrency=8)

    The model is loaded when an actor makes its object, once. Needs no Ray itself.
    Raises UsageError for options outside their range and for a batch without the column.
    """

    def __init__(
        self,
        quality: float = 75,
        *,
        column: str = "image",
        output: str = "vae",
        on_error: str = "raise",
        threads: int = 1,
        **encoding: Unpack[EncodeKeywords],
    ) -> None:
        from codec.encoder import Encoder

        if on_error not in ("raise", "null"):
            raise UsageError(f"on_error must be 'raise' or 'null', not {on_error!r}", field="on_error")
        self._column = column
        self._output = output
        self._on_error = on_error
        self._encoder = Encoder(quality, threads=threads, **encoding)

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the batch with the column added. Raises what `Encoder.encode` raises, unless "null"."""
        import numpy as np

        if self._column not in batch:
            raise UsageError(f"the batch has no column {self._column!r}, but {', '.join(batch)}")
        pictures = batch[self._column]
        coded = np.empty(len(pictures), object)
        errors = np.full(len(pictures), None, object)
        for index, picture in enumerate(pictures):
            try:
                coded[index] = self._encoder.encode(picture)
            except (CodecError, OSError) as error:
                if self._on_error == "raise":
                    raise
                errors[index] = f"{type(error).__name__}: {error}"
        extra = {f"{self._output}_error": errors} if self._on_error == "null" else {}
        return {**batch, self._output: coded, **extra}
