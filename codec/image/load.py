"""Convert PIL images, arrays, paths and file contents to the Picture that the encoder takes."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from PIL import Image

from codec.bitstream.metadata_chunks import Metadata
from codec.errors import CodecError, UnsupportedImage, UsageError
from codec.image.exif import TURNS
from codec.image.jpeg import is_damaged
from codec.image.metadata import collect, named_orientation, read_before_load
from codec.image.modes import is_deep, is_srgb, profile_to_srgb, to_planes
from codec.image.picture import Picture, PillowSamples, Samples
from codec.image.source import check_size, open_picture, pillow_errors, refuse_thumbnail, whole_file
from codec.image.tiff import check_layout, gray_bits
from codec.image.transparency import colour_key, fill_hidden
from codec.limits import DEFAULT_LIMITS, Limits

# By the number of channels, 1 to 4.
_LAYOUTS = ("L", "LA", "RGB", "RGBA")

RgbArray: TypeAlias = npt.NDArray[np.uint8]
PictureLike: TypeAlias = (
    Image.Image | npt.NDArray[np.generic] | str | os.PathLike[str] | bytes | bytearray | memoryview | Picture
)

_COPY_ROWS = 256


class ConversionWarning(UserWarning):
    """Part of the input is not kept: its mode, depth, further frames or metadata."""


def load_picture(image: PictureLike, *, limits: Limits = DEFAULT_LIMITS, strip: bool = False) -> Picture:
    """Convert an image to the Picture that the encoder takes.

    image: a PIL image (not modified), an array as for `to_channels`, a path, the bytes of a picture file, or
    a Picture (returned as it is).
    strip: the caller drops metadata, so lost metadata causes no warnings.

    Gray and transparency are kept; palettes are expanded. The EXIF orientation is applied and reset to 1.
    What the format cannot hold is converted, with a ConversionWarning: 16-bit samples are reduced to their
    high byte, CMYK, Lab, HSV and YCbCr become RGB, and only the current (first) frame of an animation is
    taken. Samples without a defined range (float, 32-bit) are refused.

    The result may share memory with `image`: do not write to its samples.

    Raises UnsupportedImage for a picture that cannot be read or converted, LimitExceeded for a picture above
    `limits` (detected from its header, before allocation), UsageError for any other object, OSError for a
    file that cannot be read. Messages about a path begin with the path.
    """
    notes: list[str] = []
    picture = _load(image, limits, notes, strip=strip)
    for note in notes:
        warnings.warn(note, ConversionWarning, stacklevel=2)
    return picture


def load_rgb(image: PictureLike, *, limits: Limits = DEFAULT_LIMITS) -> RgbArray:
    """Return an image as sRGB samples, uint8 [H, W, 3], contiguous, for measurement and comparison.

    Arguments and errors are those of `load_picture`. In addition, gray becomes three equal channels,
    transparency is composited over white and a colour profile is applied, the last two with a
    ConversionWarning.
    """
    notes: list[str] = []
    picture = _load(image, limits, notes)
    rgb = _to_array(picture.colour)
    profile = picture.metadata.icc
    if profile and not is_srgb(profile):
        flat = Image.fromarray(rgb if picture.layout.startswith("RGB") else rgb[:, :, 1])
        converted = profile_to_srgb(flat, profile)
        if converted is None:
            notes.append("the colour profile cannot be applied and is not kept: colours may look different")
        else:
            rgb = np.array(converted)
            notes.append("colours are converted from the picture's own profile to sRGB")
    if picture.alpha is not None and picture.alpha.min() < 255:
        notes.append("transparency is not kept: the picture is laid over white")
        rgb = over_white(rgb, picture.alpha)
    for note in notes:
        warnings.warn(note, ConversionWarning, stacklevel=2)
    return rgb


def over_white(rgb: RgbArray, alpha: npt.NDArray[np.uint8]) -> RgbArray:
    """Composite samples, uint8 [H, W, 3], with alpha, uint8 [H, W], over white."""
    white = Image.new("RGB", (rgb.shape[1], rgb.shape[0]), "white")
    white.paste(Image.fromarray(rgb), mask=Image.fromarray(alpha))
    return np.array(white)


class Channels(NamedTuple):
    """The channels of an array.

    layout: L, LA, RGB or RGBA. colour: uint8 [H, W, 3], may share memory with the caller's array.
    alpha: uint8 [H, W] or None.
    """

    layout: str
    colour: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None


def to_channels(array: NDArray[np.generic], limits: Limits, notes: list[str]) -> Channels:
    """Split an array [H, W], or [H, W, C] of 1 to 4 channels (gray, gray and alpha, RGB, RGBA), any strides.

    bool becomes 0 and 255; uint16 is reduced to its high byte, with an entry in `notes`. The three channels
    of gray may share memory. Raises UnsupportedImage for another shape or type, LimitExceeded.
    """
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or not 1 <= array.shape[2] <= len(_LAYOUTS):
        raise _wrong_shape(array)
    check_size(array.shape[1], array.shape[0], limits)
    layout = _LAYOUTS[array.shape[2] - 1]
    samples = np.ascontiguousarray(_to_bytes(array, notes))
    alpha = np.ascontiguousarray(samples[..., -1]) if layout.endswith("A") else None
    colour = samples[..., :3] if layout.startswith("RGB") else samples[..., :1]
    return Channels(layout, np.broadcast_to(colour, (*samples.shape[:2], 3)), alpha)


def _to_bytes(array: NDArray[np.generic], notes: list[str]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return np.asarray(array, np.uint8)
    if array.dtype == np.bool_:
        return np.where(array, np.uint8(255), np.uint8(0))
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        notes.append("16-bit samples are reduced to 8 bits")
        return (array.astype(np.uint16, copy=False) >> 8).astype(np.uint8)
    if array.dtype.kind == "f":
        advice = "scale to 0..255, round, and cast: (a * 255).round().astype('uint8') for samples in 0..1"
    else:
        advice = "scale to 0..255 and cast to uint8"
    raise UnsupportedImage(f"array has dtype {array.dtype}, not uint8; {advice}", field="dtype")


def _wrong_shape(array: NDArray[np.generic]) -> UnsupportedImage:
    if array.ndim == 3 and 1 <= array.shape[0] <= len(_LAYOUTS):
        advice = "move the channels last: a.transpose(1, 2, 0)"
    elif array.ndim == 4:
        advice = "pass one picture at a time, or all to Encoder.map"
    else:
        advice = "pass one of these"
    return UnsupportedImage(
        f"array has shape {list(array.shape)}, not [H, W] or [H, W, 1 to 4]; {advice}", field="shape"
    )


def _load(image: PictureLike, limits: Limits, notes: list[str], *, strip: bool = False) -> Picture:
    """Do what load_picture does, with an entry in `notes` instead of each warning."""
    if isinstance(image, Picture):
        return image
    if isinstance(image, np.ndarray):
        return _from_array(image, limits, notes)
    if isinstance(image, Image.Image):
        return _from_pillow(image, limits, notes, strip=strip)
    if isinstance(image, (bytes, bytearray, memoryview)):
        with open_picture(image, notes) as picture:
            return _from_pillow(picture, limits, notes, strip=strip)
    if isinstance(image, (str, os.PathLike)) and "\0" not in str(image):
        path = Path(image)
        try:
            with open_picture(path, notes) as picture:
                return _from_pillow(picture, limits, notes, strip=strip)
        except CodecError as error:
            raise type(error)(f"{path}: {error}", field=error.field, offset=error.offset) from error
    raise UsageError(
        f"cannot take a picture from {type(image).__name__}; pass a PIL image, a uint8 array [H, W] or "
        "[H, W, 1 to 4], a path or the bytes of a file",
        field="image",
    )


def _from_array(array: npt.NDArray[np.generic], limits: Limits, notes: list[str]) -> Picture:
    layout, colour, alpha = to_channels(array, limits, notes)
    if alpha is not None:
        colour = colour.copy()
        fill_hidden(colour, alpha)
    return Picture(layout, colour, alpha, Metadata())


def _from_pillow(picture: Image.Image, limits: Limits, notes: list[str], *, strip: bool) -> Picture:
    check_size(picture.width, picture.height, limits)
    with pillow_errors():
        n_frames = getattr(picture, "n_frames", 1)
        if n_frames > 1:
            notes.append(f"only the {_frame_name(picture)} of {n_frames} is kept, {n_frames - 1} left out")
        n_sizes = len(picture.info.get("sizes", ())) if picture.format in ("ICO", "ICNS") else 1
        if n_sizes > 1:
            notes.append(f"only the largest of {n_sizes} sizes is kept, {n_sizes - 1} left out")
        refuse_thumbnail(picture)
        check_layout(picture, notes)
        if picture.format in ("JPEG", "MPO") and is_damaged(whole_file(picture)):
            notes.append("the coded samples are damaged: part of the picture may be wrong")
        deep, key = is_deep(picture), colour_key(picture)
        stored = read_before_load(picture)
        picture.load()
        planes = to_planes(_without_transparency_text(picture), notes, key)
        if deep:
            unknown = picture.format in ("AVIF", "JPEG2000")
            what = "samples of more than 8 bits" if unknown else f"{gray_bits(picture)}-bit samples"
            notes.append(f"{what} are reduced to 8 bits")
        _note_gamma(picture, notes)
        orientation = named_orientation(picture, stored)
        metadata = collect(picture, stored, planes.layout, orientation, limits, [] if strip else notes)
        turn = TURNS.get(orientation)
        if turn is not None:
            planes = planes._replace(
                colour=planes.colour.transpose(turn),
                alpha=None if planes.alpha is None else planes.alpha.transpose(turn),
            )
        if planes.alpha is None:
            return Picture(planes.layout, PillowSamples(planes.colour), None, metadata)
        colour, alpha = _to_array(PillowSamples(planes.colour)), np.asarray(planes.alpha)
        fill_hidden(colour, alpha)
        return Picture(planes.layout, colour, alpha, metadata)


def _to_array(samples: Samples) -> RgbArray:
    """Return samples as a contiguous array; copy a PIL image a few rows at a time to save memory."""
    if isinstance(samples, np.ndarray):
        return np.ascontiguousarray(samples)
    array = np.empty(samples.shape, np.uint8)
    for top in range(0, array.shape[0], _COPY_ROWS):
        rows = slice(top, min(top + _COPY_ROWS, array.shape[0]))
        array[rows] = samples[rows, : array.shape[1]]
    return array


def _note_gamma(picture: Image.Image, notes: list[str]) -> None:
    gamma = picture.info.get("gamma")
    if picture.info.get("icc_profile") or "srgb" in picture.info or not isinstance(gamma, float):
        return
    if abs(gamma * 2.2 - 1) > 0.05:
        notes.append(
            f"the gamma of {gamma:g} that the file names is not applied: brightness may look different"
        )


def _without_transparency_text(picture: Image.Image) -> Image.Image:
    """Remove a PNG text of key 'transparency', which Pillow would take for a transparent colour."""
    if not isinstance(picture.info.get("transparency"), str):
        return picture
    plain = picture.copy()
    del plain.info["transparency"]
    return plain


def _frame_name(picture: Image.Image) -> str:
    return "first frame" if picture.tell() == 0 else f"current frame ({picture.tell() + 1})"
