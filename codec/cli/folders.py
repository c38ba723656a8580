"""Several pictures written into one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from codec.files import check_writable, write_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

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
