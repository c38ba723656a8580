"""Any picture a caller may hold, as the 8-bit RGB samples that the codec works on."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from codec.errors import CodecError, UnsupportedImage, UsageError
from codec.image import color
from codec.image.source import check_size, open_picture, pillow_errors
from codec.limits import DEFAULT_LIMITS, Limits

RgbArray: TypeAlias = npt.NDArray[np.uint8]
PictureLike: TypeAlias = (
    Image.Image | npt.NDArray[np.generic] | str | os.PathLike[str] | bytes | bytearray | memoryview
)

_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")


class ConversionWarning(UserWarning):
    """Something of the picture is not kept: its mode, depth, transparency, profile or further frames."""


def load_rgb(image: PictureLike, *, limits: Limits = DEFAULT_LIMITS) -> RgbArray:
    """Return a picture as RGB samples: uint8 [H, W, 3], contiguous, sRGB unless its profile is unreadable.

    `image` is a PIL image (left as it is), a uint8 array [H, W, 3], a path, or the bytes of a picture
    file. EXIF orientation is applied once. What RGB cannot hold is converted, with a ConversionWarning
    that names it: gray becomes three equal channels, transparency is laid over white, 16-bit samples keep
    their high byte, CMYK, Lab and pictures with a colour profile become sRGB, of an animation the current
    (first) frame is taken. Samples without a defined range (float, 32-bit) are refused.

    The array may be the caller's own: do not write to it.

    Raises UnsupportedImage for a picture that cannot be read or converted, LimitExceeded for a larger
    one than `limits` allow (told from the header, before allocation), UsageError for an object that is no
    picture, OSError for a file that cannot be read. Messages about a path begin with it.
    """
    notes: list[str] = []
    array = _load(image, limits, notes)
    for note in notes:
        warnings.warn(note, ConversionWarning, stacklevel=2)
    return array


def _load(image: PictureLike, limits: Limits, notes: list[str]) -> RgbArray:
    """Do what load_rgb does, collecting what is lost in `notes`."""
    if isinstance(image, np.ndarray):
        return _check_array(image, limits)
    if isinstance(image, Image.Image):
        return _from_pillow(image, limits, notes)
    if isinstance(image, (bytes, bytearray, memoryview)):
        with open_picture(image) as picture:
            return _from_pillow(picture, limits, notes)
    if isinstance(image, (str, os.PathLike)):
        path = Path(image)
        try:
            with open_picture(path) as picture:
                return _from_pillow(picture, limits, notes)
        except CodecError as error:
            raise type(error)(f"{path}: {error}", field=error.field, offset=error.offset) from error
    raise UsageError(
        f"cannot take a picture from {type(image).__name__}; pass a PIL image, a uint8 array [H, W, 3], "
        "a path or the bytes of a file",
        field="image",
    )


def _check_array(array: npt.NDArray[np.generic], limits: Limits) -> RgbArray:
    if array.ndim != 3 or array.shape[2] != 3:
        if array.ndim == 3 and array.shape[0] == 3:
            advice = "move the channels last: a.transpose(1, 2, 0)"
        elif array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (2, 4)):
            advice = "pass PIL.Image.fromarray(a), which is converted"
        else:
            advice = "pass [H, W, 3]"
        raise UnsupportedImage(f"array has shape {list(array.shape)}, not [H, W, 3]; {advice}", field="shape")
    if array.dtype != np.uint8:
        if array.dtype.kind == "f":
            advice = "scale to 0..255, round, and cast: (a * 255).round().astype('uint8') for samples in 0..1"
        elif array.dtype == np.uint16:
            advice = "keep the high byte: (a >> 8).astype('uint8')"
        else:
            advice = "scale to 0..255 and cast to uint8"
        raise UnsupportedImage(f"array has dtype {array.dtype}, not uint8; {advice}", field="dtype")
    check_size(array.shape[1], array.shape[0], limits)
    return np.ascontiguousarray(array, dtype=np.uint8)


def _from_pillow(picture: Image.Image, limits: Limits, notes: list[str]) -> RgbArray:
    check_size(picture.width, picture.height, limits)
    with pillow_errors():
        n_frames = getattr(picture, "n_frames", 1)
        if n_frames > 1:
            notes.append(f"only the {_frame_name(picture)} of {n_frames} is kept, {n_frames - 1} left out")
        deep = _is_deep(picture)
        picture.load()
        rgb = _to_rgb(picture, notes)
        if deep:
            notes.append("16-bit samples are reduced to 8 bits")
        turn = _TURNS.get(_orientation(picture, notes))
        if turn is not None:
            rgb = rgb.transpose(turn)
        return np.array(rgb)


def _to_rgb(picture: Image.Image, notes: list[str]) -> Image.Image:
    """Convert a loaded picture of any mode to mode RGB, warning about everything that is lost."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture = _to_eight_bits(picture)
    alpha = None
    if picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        alpha = rgba.getchannel("A")
        gray = picture.mode in ("LA", "La", "L", "1")
        flat = rgba.convert("RGB")
    else:
        gray = picture.mode in ("L", "1")
        flat = picture if picture.mode in ("L", "CMYK", "LAB") else picture.convert("RGB")
    if gray:
        notes.append("gray picture is stored as RGB")
    elif picture.mode in ("CMYK", "LAB", "HSV", "YCbCr"):
        notes.append(f"{picture.mode} picture is converted to RGB")
    profile = picture.info.get("icc_profile")
    gamma = picture.info.get("gamma")
    if (
        isinstance(gamma, float)
        and not profile
        and "srgb" not in picture.info
        and abs(gamma * 2.2 - 1) > 0.05
    ):
        notes.append(
            f"the gamma of {gamma:g} that the file names is not applied: brightness may look different"
        )
    rgb = _managed(flat, profile, notes)
    if alpha is None or alpha.getextrema() == (255, 255):
        return rgb
    notes.append("transparency is not kept: the picture is laid over white")
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _managed(picture: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Apply a colour profile, or without one the plain conversion of the picture's mode, to get sRGB."""
    if picture.mode == "LAB":
        converted = color.lab_to_srgb(picture)
        if converted is None:
            raise UnsupportedImage(
                "Lab picture, and Pillow has no colour management; convert it to RGB first"
            )
        return converted
    if profile and not color.is_srgb(profile):
        converted = color.profile_to_srgb(picture, profile)
        if converted is not None:
            notes.append("colours are converted from the picture's own profile to sRGB")
            return converted
        notes.append("the colour profile cannot be applied and is not kept: colours may look different")
    return picture.convert("RGB")


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Reduce a 16-bit gray picture to its high byte; refuse samples whose range nothing defines."""
    samples = np.asarray(picture)
    is_16_bit = picture.mode.startswith("I;16") or (
        # Some versions of Pillow hold 16-bit gray in mode I; only these formats promise 0..65535 then.
        picture.mode == "I"
        and picture.format in ("PNG", "PPM")
        and samples.min() >= 0
        and samples.max() <= 65535
    )
    if not is_16_bit:
        kind = "floating-point" if picture.mode == "F" else "32-bit"
        raise UnsupportedImage(
            f"{kind} samples (mode {picture.mode}) have no defined range; convert to 8 or 16 bits first"
        )
    reduced = Image.fromarray((samples >> 8).astype(np.uint8))
    if profile := picture.info.get("icc_profile"):
        reduced.info["icc_profile"] = profile
    return reduced


def _is_deep(picture: Image.Image) -> bool:
    """Tell whether samples have more than 8 bits, also where Pillow drops the low byte without a word."""
    if picture.mode.startswith("I"):
        return True
    for tile in getattr(picture, "tile", None) or ():
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(argument, str) and ";16" in argument for argument in arguments):
            return True
    return False


def _orientation(picture: Image.Image, notes: list[str]) -> int:
    try:
        orientation = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block raises anything, and must not cost the picture
        notes.append("EXIF data is damaged; orientation is taken as upright")
        return 1
    return orientation if isinstance(orientation, int) else 1


def _frame_name(picture: Image.Image) -> str:
    return "first frame" if picture.tell() == 0 else f"current frame ({picture.tell() + 1})"
