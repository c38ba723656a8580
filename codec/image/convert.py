"""Any picture a caller may hold, as the samples that the codec works on."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from codec.bitstream.metadata import Metadata
from codec.errors import CodecError, UsageError
from codec.image import color
from codec.image.arrays import to_channels
from codec.image.colour_key import colour_key
from codec.image.hidden import fill_hidden
from codec.image.jpeg_scan import is_damaged
from codec.image.metadata import collect, look_ahead, named_orientation
from codec.image.modes import is_deep, to_planes
from codec.image.picture import Picture, PillowSamples, Samples
from codec.image.raw import refuse_thumbnail
from codec.image.source import check_size, open_picture, pillow_errors, whole_file
from codec.image.thumbnail import TURNS
from codec.image.tiff import check_layout, gray_bits
from codec.limits import DEFAULT_LIMITS, Limits

RgbArray: TypeAlias = npt.NDArray[np.uint8]
PictureLike: TypeAlias = (
    Image.Image | npt.NDArray[np.generic] | str | os.PathLike[str] | bytes | bytearray | memoryview | Picture
)

_COPY_ROWS = 256


class ConversionWarning(UserWarning):
    """Something of the picture is not kept: its mode, depth, further frames or metadata."""


def load_picture(image: PictureLike, *, limits: Limits = DEFAULT_LIMITS, strip: bool = False) -> Picture:
    """Return a picture as the codec takes it.

    `image` is a PIL image (left as it is), an array as `to_channels` takes it, a path, the bytes of a picture
    file, or a Picture. Gray stays gray and transparency stays; palettes become the colours they stand for.
    EXIF orientation is applied once and reset. What the format cannot hold is converted, with a
    ConversionWarning that names it: 16-bit samples keep their high byte, CMYK, Lab, HSV and YCbCr become RGB,
    of an animation the current (first) frame is taken. Samples without a defined range (float, 32-bit) are
    refused.

    strip: metadata is not wanted, and the loss of it not told.
    The samples may be the caller's own: do not write to them.

    Raises UnsupportedImage for a picture that cannot be read or converted, LimitExceeded for a larger
    one than `limits` allow (told from the header, before allocation), UsageError for an object that is no
    picture, OSError for a file that cannot be read. Messages about a path begin with it.
    """
    notes: list[str] = []
    picture = _load(image, limits, notes, strip=strip)
    for note in notes:
        warnings.warn(note, ConversionWarning, stacklevel=2)
    return picture


def load_rgb(image: PictureLike, *, limits: Limits = DEFAULT_LIMITS) -> RgbArray:
    """Return a picture as plain samples uint8 [H, W, 3] in sRGB, contiguous, to measure and compare by.

    As load_picture, and what three channels cannot hold is converted too: gray becomes three equal channels,
    transparency is laid over white and a colour profile is applied, the last two with a ConversionWarning.
    """
    notes: list[str] = []
    picture = _load(image, limits, notes)
    rgb = _to_array(picture.colour)
    profile = picture.metadata.icc
    if profile and not color.is_srgb(profile):
        flat = Image.fromarray(rgb if picture.layout.startswith("RGB") else rgb[:, :, 1])
        converted = color.profile_to_srgb(flat, profile)
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
    """Lay samples, uint8 [H, W, 3], with alpha, uint8 [H, W], over white."""
    white = Image.new("RGB", (rgb.shape[1], rgb.shape[0]), "white")
    white.paste(Image.fromarray(rgb), mask=Image.fromarray(alpha))
    return np.array(white)


def _load(image: PictureLike, limits: Limits, notes: list[str], *, strip: bool = False) -> Picture:
    """Do what load_picture does, collecting what is lost in `notes`."""
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
        stored = look_ahead(picture)
        picture.load()
        planes = to_planes(_without_text_for_alpha(picture), notes, key)
        if deep:
            unknown = picture.format in ("AVIF", "JPEG2000")
            what = "samples of more than 8 bits" if unknown else f"{gray_bits(picture)}-bit samples"
            notes.append(f"{what} are reduced to 8 bits")
        _tell_gamma(picture, notes)
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
    """Return samples as an array; of a PIL image a few rows at a time, which saves memory."""
    if isinstance(samples, np.ndarray):
        return np.ascontiguousarray(samples)
    array = np.empty(samples.shape, np.uint8)
    for top in range(0, array.shape[0], _COPY_ROWS):
        rows = slice(top, min(top + _COPY_ROWS, array.shape[0]))
        array[rows] = samples[rows, : array.shape[1]]
    return array


def _tell_gamma(picture: Image.Image, notes: list[str]) -> None:
    gamma = picture.info.get("gamma")
    if picture.info.get("icc_profile") or "srgb" in picture.info or not isinstance(gamma, float):
        return
    if abs(gamma * 2.2 - 1) > 0.05:
        notes.append(
            f"the gamma of {gamma:g} that the file names is not applied: brightness may look different"
        )


def _without_text_for_alpha(picture: Image.Image) -> Image.Image:
    """Return a picture that Pillow does not take for one with a transparent colour, which is but a text."""
    if not isinstance(picture.info.get("transparency"), str):
        return picture
    plain = picture.copy()
    del plain.info["transparency"]
    return plain


def _frame_name(picture: Image.Image) -> str:
    return "first frame" if picture.tell() == 0 else f"current frame ({picture.tell() + 1})"
