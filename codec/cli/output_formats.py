"""Picture files that commands write: formats and what each holds, and folders of pictures."""

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

    from codec.cli.output_metadata import Held

_ALL = frozenset({"icc_profile", "exif", "xmp", "dpi", "text"})


@dataclass(frozen=True)
class Format:
    """A Pillow format, the options that keep most of a picture, and what it can hold.

    max_side: pixels. alpha: whether transparency is held. metadata: which of `_ALL`.
    """

    name: str
    options: dict[str, object] = field(default_factory=dict)
    max_side: int = 2**31 - 1
    alpha: bool = True
    metadata: frozenset[str] = frozenset()


_PNG = Format("PNG", metadata=_ALL)
# Not compressed: libtiff would keep all it compresses in memory, unless it wrote past Python's file object.
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
    """Return the format that an output's name asks for; pipes and devices whose name has none get PNG."""
    suffix = Path(target).suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    if target == STANDARD or (not suffix and writes_through(target)):
        return _PNG
    known = ", ".join(FORMATS)
    what = f"cannot write '{suffix}' pictures" if suffix else "has no suffix to choose a format by"
    raise UsageError(f"{target}: {what}; use one of {known}")


def check_size(target: str, chosen: Format, width: int, height: int) -> None:
    """Refuse a picture whose sides the format cannot hold, before it is decoded."""
    if max(width, height) > chosen.max_side:
        raise UsageError(
            f"{target}: {chosen.name} holds at most {chosen.max_side} pixels a side and the picture is "
            f"{width}x{height}; write .png instead"
        )


def losses(picture: Image.Image, chosen: Format) -> list[str]:
    """Return what the format cannot hold of a decoded picture, in words for a warning."""
    lost = []
    if "A" in picture.getbands() and not chosen.alpha:
        lost.append(f"{chosen.name} holds no transparency: the picture is laid over white")
    return lost + _held(picture, chosen).lost


def save(picture: Image.Image, chosen: Format, file: IO[bytes]) -> None:
    """Write a picture file, with all metadata that the format holds."""
    options = _held(picture, chosen).options
    if "A" in picture.getbands() and not chosen.alpha:
        picture = _over_white(picture)
    # Pillow's writers take much from there by themselves, and any text may have a key that they know.
    info, picture.info = picture.info, {}
    try:
        picture.save(file, format=chosen.name, **chosen.options, **options)
    finally:
        picture.info = info


def _held(picture: Image.Image, chosen: Format) -> Held:
    from codec.cli.output_metadata import held

    mode = picture.mode if chosen.alpha else picture.mode.removesuffix("A")
    return held(picture, mode, chosen.name, chosen.metadata, chosen.options)


def _over_white(picture: Image.Image) -> Image.Image:
    from PIL import Image

    colour = "L" if picture.mode == "LA" else "RGB"
    white = Image.new(colour, picture.size, "white")
    white.paste(picture.convert(colour), mask=picture.getchannel("A"))
    return white


SHEET, ANIMATION = "sheet.png", "animation.webp"
FRAME_MS = 120
# What frames are reduced to, in pixels a side, where many are shown together: WebP ends at 16,383.
SHOWN_SIDE = 512


def prepare(folder: Path, names: Sequence[str], *, force: bool) -> list[Path]:
    """Make a folder if need be, and refuse names in it that are taken, before work is spent on them."""
    folder.mkdir(parents=True, exist_ok=True)
    return [check_writable(folder / name, overwrite=force) for name in names]


def prepare_frames(folder: Path, count: int, *, force: bool) -> list[Path]:
    """As prepare; return where the frames go, then the contact sheet and the animation."""
    names = [f"frame_{index:03d}.png" for index in range(count)]
    return prepare(folder, [*names, SHEET, ANIMATION], force=force)


def save_frames(paths: list[Path], frames: Iterable[NDArray[np.uint8]], *, force: bool) -> None:
    """Write frames as they come, then their sheet and their animation, to what prepare_frames gave."""
    *singles, sheet, animation = paths
    shown = []
    for path, pixels in zip(singles, frames, strict=True):
        save_png(path, pixels, force=force)
        shown.append(_reduced(pixels))
    save_png(sheet, contact_sheet(shown, min(len(shown), 9)), force=force)
    save_animation(animation, shown, force=force)


def _reduced(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return samples uint8 [H, W, 3] at no more than SHOWN_SIDE pixels a side."""
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
    """Write frames as an animated WebP that runs there and back for ever."""
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
    """Lay pictures of one size out in rows on white: uint8 of as many dimensions as they have."""
    import numpy as np

    height, width = frames[0].shape[:2]
    rows = -(-len(frames) // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *frames[0].shape[2:])
    sheet = np.full(shape, 255, np.uint8)
    for index, frame in enumerate(frames):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = frame
    return sheet
