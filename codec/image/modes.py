"""Pillow's modes as the layouts of the format: one or three channels of 8 bits, with alpha or without."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from codec.errors import UnsupportedImage
from codec.image import color, tiff
from codec.image.colour_key import ColourKey, is_beyond_pillow
from codec.image.depth import is_deep_file
from codec.image.jpeg import stored_profile

_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_GRAY_MODES = ("L", "1", "LA", "La")


class Planes(NamedTuple):
    """colour: a PIL image of mode L or RGB. alpha: one of mode L and the same size, or None."""

    colour: Image.Image
    alpha: Image.Image | None

    @property
    def layout(self) -> str:
        """RGB, L, LA or RGBA."""
        return self.colour.mode + ("" if self.alpha is None else "A")


def to_planes(picture: Image.Image, notes: list[str], key: ColourKey | None = None) -> Planes:
    """Convert a loaded picture of any mode, telling in `notes` what is lost.

    key: its transparent colour, where Pillow must not be asked.
    Raises UnsupportedImage for samples without a defined range.
    """
    mode = picture.mode
    if mode == "F" or mode.startswith("I"):
        return _from_deep(picture)
    if mode in ("CMYK", "LAB", "HSV", "YCbCr"):
        notes.append(f"{mode} picture is converted to RGB")
        return Planes(_from_other_model(picture, notes), None)
    gray = mode in _GRAY_MODES or (mode in ("P", "PA") and _has_gray_palette(picture))
    if mode == "La":
        picture = picture.convert("LA")  # the one way out of this mode that Pillow knows
    if key is not None:
        colour = picture.convert("L" if gray else "RGB")
        return Planes(colour, key.alpha(colour))
    if is_beyond_pillow(picture):
        notes.append("the transparent colour, of 16 bits, is not kept: pass the file itself")
        return Planes(picture.convert("RGB"), None)
    if mode in _ALPHA_MODES or picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        alpha = rgba.getchannel("A")
        return Planes(rgba.getchannel("G") if gray else rgba.convert("RGB"), alpha)
    target = "L" if gray else "RGB"
    return Planes(picture if mode == target else picture.convert(target), None)


def is_deep(picture: Image.Image) -> bool:
    """Tell of a picture not yet loaded whether samples have more than 8 bits, which Pillow may drop."""
    if picture.mode.startswith("I") or is_deep_file(picture):
        return True
    for tile in getattr(picture, "tile", None) or ():
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(argument, str) and ";16" in argument for argument in arguments):
            return True
        # A PPM file names its largest sample instead.
        if tile[0].startswith("ppm") and any(
            isinstance(argument, int) and argument > 255 for argument in arguments
        ):
            return True
    return False


def _from_deep(picture: Image.Image) -> Planes:
    """Reduce a 12- or 16-bit gray picture to its high byte; refuse samples whose range nothing defines."""
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
    high = (samples >> tiff.gray_bits(picture) - 8).astype(np.uint8)
    colour = Image.fromarray(255 - high if tiff.is_negative(picture) else high)
    key = picture.info.get("transparency")
    if not isinstance(key, int):
        return Planes(colour, None)
    return Planes(colour, Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8)))


def _from_other_model(picture: Image.Image, notes: list[str]) -> Image.Image:
    """Convert a picture of a colour model that the format does not hold to RGB, by its profile if any."""
    if picture.mode == "LAB":
        converted = color.lab_to_srgb(picture)
        if converted is None:
            raise UnsupportedImage(
                "Lab picture, and Pillow has no colour management; convert it to RGB first"
            )
        return converted
    profile = stored_profile(picture, notes) if picture.mode == "CMYK" else None
    if profile:
        converted = color.profile_to_srgb(picture, profile)
        if converted is not None:
            return converted
        notes.append("the colour profile cannot be applied and is not kept: colours may look different")
    return picture.convert("RGB")


def _has_gray_palette(picture: Image.Image) -> bool:
    """Tell whether a palette holds nothing but gray; never where a profile, made for RGB, goes with it."""
    if picture.info.get("icc_profile"):
        return False
    colours = np.array(picture.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())
