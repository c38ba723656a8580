"""Write picture files: formats and what each can store, contact sheets and animations."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from codec.cli.jobs import STANDARD
from codec.errors import UsageError
from codec.io.files import check_writable, write_atomic, writes_through

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from codec.cli.output_metadata import FittedMetadata

SHEET, ANIMATION = "sheet.png", "animation.webp"
FRAME_MS = 120
# Maximum side in pixels of frames in sheets and animations: WebP is limited to 16,383.
SHOWN_SIDE = 512
_ALL = frozenset({"icc_profile", "exif", "xmp", "dpi", "text"})


@dataclass(frozen=True)
class Format:
    """A picture format that Pillow writes.

    name: Pillow's name. options: of Pillow's writer, to lose as little as possible. max_side: pixels.
    alpha: whether it stores transparency. metadata: the subset of `_ALL` that it stores.
    """

    name: str
    options: dict[str, object] = field(default_factory=dict)
    max_side: int = 2**31 - 1
    alpha: bool = True
    metadata: frozenset[str] = frozenset()


_PNG = Format("PNG", metadata=_ALL)
# Uncompressed: to compress, libtiff keeps the whole file in memory unless it writes to a file descriptor.
_TIFF = Format("TIFF", metadata=_ALL - {"text"})
_JPEG = Format("JPEG", {"quality": 95, "subsampling": "4:4:4"}, 65500, alpha=False, metadata=_ALL - {"text"})

FORMATS = {
    ".png": _PNG,
    ".webp": Format("WEBP", {"lossless": True, "exact": True}, 16383, metadata=_ALL - {"dpi", "text"}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": Format("BMP", alpha=False, metadata=frozenset({"dpi"})),
    ".ppm": Format("PPM", alpha=False),
    ".tga": Format("TGA", max_side=65535),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}


def choose(target: str) -> Format:
    """Return the format for the suffix of an output; PNG for a pipe or device without a suffix.

    Raises UsageError for an unknown suffix, and for a file without one.
    """
    suffix = Path(target).suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    if target == STANDARD or (not suffix and writes_through(target)):
        return _PNG
    known = ", ".join(FORMATS)
    problem = f"cannot write '{suffix}' pictures" if suffix else "has no suffix, which selects the format"
    raise UsageError(f"{target}: {problem}; use one of {known}")


def check_size(target: str, chosen: Format, width: int, height: int) -> None:
    """Raise UsageError for a picture too large for the format. width, height: pixels."""
    if max(width, height) > chosen.max_side:
        raise UsageError(
            f"{target}: {chosen.name} stores at most {chosen.max_side} pixels a side and the picture is "
            f"{width}x{height}; write .png instead"
        )


def losses(picture: Image.Image, chosen: Format) -> list[str]:
    """Return texts of warnings about what the format cannot store of a decoded picture."""
    lost = []
    if "A" in picture.getbands() and not chosen.alpha:
        lost.append(f"{chosen.name} cannot store transparency: the picture is blended over white")
    return lost + _fit_metadata(picture, chosen).lost


def save(picture: Image.Image, chosen: Format, file: IO[bytes]) -> None:
    """Write a picture file with all metadata that the format can store."""
    options = _fit_metadata(picture, chosen).options
    if "A" in picture.getbands() and not chosen.alpha:
        picture = _over_white(picture)
    # Pillow's writers read some keys of `info`, and a text of the file may have one of these keys.
    info, picture.info = picture.info, {}
    try:
        picture.save(file, format=chosen.name, **chosen.options, **options)
    finally:
        picture.info = info


def _fit_metadata(picture: Image.Image, chosen: Format) -> FittedMetadata:
    from codec.cli.output_metadata import fit_metadata

    mode = picture.mode if chosen.alpha else picture.mode.removesuffix("A")
    return fit_metadata(picture, mode, chosen.name, chosen.metadata, chosen.options)


def _over_white(picture: Image.Image) -> Image.Image:
    """Return a picture blended over white, in mode L or RGB."""
    from PIL import Image

    colour = "L" if picture.mode == "LA" else "RGB"
    white = Image.new(colour, picture.size, "white")
    white.paste(picture.convert(colour), mask=picture.getchannel("A"))
    return white


def prepare(folder: Path, names: Sequence[str], *, force: bool) -> list[Path]:
    """Create a folder and return the paths of `names` in it. Raises OSError if one cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    return [check_writable(folder / name, overwrite=force) for name in names]


def prepare_frames(folder: Path, count: int, *, force: bool) -> list[Path]:
    """Do as `prepare` for `count` frames; return their paths, then those of contact sheet and animation."""
    names = [f"frame_{index:03d}.png" for index in range(count)]
    return prepare(folder, [*names, SHEET, ANIMATION], force=force)


def save_frames(paths: list[Path], frames: Iterable[NDArray[np.uint8]], *, force: bool) -> None:
    """Write frames uint8 [H, W, 3] one by one, then contact sheet and animation.

    paths: from `prepare_frames`, one more frame path than frames is an error.
    """
    *singles, sheet, animation = paths
    shown = []
    for path, pixels in zip(singles, frames, strict=True):
        save_png(path, pixels, force=force)
        shown.append(_reduced(pixels))
    save_png(sheet, contact_sheet(shown, min(len(shown), 9)), force=force)
    save_animation(animation, shown, force=force)


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return samples uint8 [H, W, 3], scaled down to at most SHOWN_SIDE pixels a side."""
    import numpy as np
    from PIL import Image

    if max(pixels.shape[:2]) <= SHOWN_SIDE:
        return pixels
    picture = Image.fromarray(pixels)
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    return np.array(picture)


def save_png(path: Path, pixels: NDArray[np.uint8], *, force: bool) -> None:
    """Write samples uint8 [H, W, 3] or [H, W] as PNG."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    write_atomic(path, lambda file: picture.save(file, "PNG"), overwrite=force)


def save_animation(path: Path, frames: Sequence[NDArray[np.uint8]], *, force: bool) -> None:
    """Write frames uint8 [H, W, 3] as a looping animated WebP that runs forwards and backwards."""
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in (*frames, *frames[-2:0:-1])]
    options = {
        "save_all": True,
        "append_images": pictures[1:],
        "duration": FRAME_MS,
        "loop": 0,
        "quality": 80,
    }
    write_atomic(path, lambda file: pictures[0].save(file, "WEBP", **options), overwrite=force)


def contact_sheet(frames: Sequence[NDArray[np.uint8]], columns: int, gap: int = 4) -> NDArray[np.uint8]:
    """Arrange pictures of one size, uint8 [H, W] or [H, W, C], in rows on white.

    columns: pictures in a row. gap: pixels between pictures. Returns one array uint8 of as many dimensions.
    """
    import numpy as np

    height, width = frames[0].shape[:2]
    rows = -(-len(frames) // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *frames[0].shape[2:])
    sheet = np.full(shape, 255, np.uint8)
    for index, frame in enumerate(frames):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = frame
    return sheet
